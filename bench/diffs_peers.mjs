// diff2html beside ours: reads {"diffs": [...]} from standard input, answers with its CPU milliseconds a diff, and bytes.
// Each diff is drawn a few times and the least counts, so that V8 has compiled what it wants to.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.argv[2]}/`);
const { html } = require("diff2html");
const { diffs } = JSON.parse(readFileSync(0, "utf-8"));

const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

const drawn = diffs.map((diff) => {
  let least = Infinity;
  let bytes = 0;
  for (let round = 0; round < 3; round += 1) {
    const from = cpu();
    bytes = Buffer.byteLength(html(diff, { outputFormat: "side-by-side", drawFileList: false, matching: "words" }));
    least = Math.min(least, cpu() - from);
  }
  return { ms: least, bytes };
});
process.stdout.write(JSON.stringify(drawn));
