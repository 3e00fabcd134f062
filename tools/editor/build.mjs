// Makes static/vendor/: bundles the editor, copies htmx, and writes down what each file is, with its digest.
import { createHash } from "node:crypto";
import { copyFileSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const vendor = join(here, "../../static/vendor");
const modules = join(here, "node_modules");

const packageOf = (name) => JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8"));

function licenceText(name) {
  const file = readdirSync(join(modules, name)).find((entry) => /^licen[cs]e/i.test(entry));
  if (file === undefined) throw new Error(`${name} brings no licence text`);
  return readFileSync(join(modules, name, file), "utf8").trim();
}

function entry(file, facts) {
  const bytes = readFileSync(join(vendor, file));
  return { ...facts, sha256: createHash("sha256").update(bytes).digest("hex"), bytes: bytes.length };
}

const bundle = await build({
  absWorkingDir: here,
  entryPoints: ["editor.js"],
  outfile: join(vendor, "editor.js"),
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  metafile: true,
});
copyFileSync(join(modules, "htmx.org/dist/htmx.min.js"), join(vendor, "htmx.min.js"));

const bundled = [
  ...new Set(
    Object.keys(bundle.metafile.inputs)
      .map((path) => path.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)\//)?.[1])
      .filter((name) => name !== undefined),
  ),
].sort();
const htmx = packageOf("htmx.org");
const versions = {
  "editor.js": entry("editor.js", {
    package: "codemirror 6 (@codemirror/*), built from tools/editor by `make editor`",
    version: packageOf("@codemirror/view").version,
    licence: [...new Set(bundled.map((name) => packageOf(name).license))].sort().join(", "),
    contains: Object.fromEntries(bundled.map((name) => [name, packageOf(name).version])),
  }),
  "htmx.min.js": entry("htmx.min.js", { package: "htmx.org", version: htmx.version, licence: htmx.license }),
};
writeFileSync(join(vendor, "VERSIONS.json"), `${JSON.stringify(versions, null, 2)}\n`);

const texts = new Map();
for (const name of [...bundled, "htmx.org"]) {
  const text = licenceText(name);
  texts.set(text, [...(texts.get(text) ?? []), name]);
}
const licences = [...texts].map(([text, names]) => `${names.join(", ")}\n\n${text}\n`);
writeFileSync(join(vendor, "LICENSES.txt"), licences.join(`\n${"-".repeat(80)}\n\n`));

for (const [file, { bytes, sha256 }] of Object.entries(versions)) console.log(file, bytes, sha256);
