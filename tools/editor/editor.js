// The editor of the review page. It lives in a shadow root, because there CodeMirror's styles are adopted style sheets,
// which `style-src 'self'` allows; in the page itself they would be blocked.
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import { python } from "@codemirror/lang-python";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { goToNextChunk, goToPreviousChunk, rejectChunk, unifiedMergeView } from "@codemirror/merge";
import { search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, Prec, RangeSet, StateEffect, StateField, Text } from "@codemirror/state";
import {
  Decoration,
  EditorView,
  GutterMarker,
  WidgetType,
  gutterLineClass,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  showPanel,
} from "@codemirror/view";

import { compareByLines } from "./lines.js";
import { highlight, theme } from "./theme.js";

export { compareByLines };

const LANGUAGES = { python, yaml, json };

const VISIBLE_NAMES = { 0: "NUL", 12: "FF", 13: "CR", 27: "ESC", 133: "NEL", 8232: "U+2028", 8233: "U+2029" };

/**
 * What ends a line. Left alone, CodeMirror would turn CRLF and a lone CR into LF. With this, `sliceDoc()` gives back
 * every byte: texts that end each line with CRLF keep doing so in new lines; in all others only LF ends a line, and a
 * CR is a visible character.
 */
function lineSeparatorOf(...texts) {
  const crlfOnly = (text) => !/(^|[^\r])\n|\r(?!\n)/.test(text);
  return texts.some((text) => text.includes("\r\n")) && texts.every(crlfOnly) ? "\r\n" : "\n";
}

function showSpecialChar(code, description) {
  const box = document.createElement("span");
  const hex = code.toString(16).toUpperCase().padStart(4, "0");
  box.className = "cm-specialChar";
  box.textContent = VISIBLE_NAMES[code] ?? `U+${hex}`;
  box.title = description;
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", description);
  return box;
}

function selection(label, choices, onChoose) {
  const list = document.createElement("select");
  for (const [value, text] of choices) list.add(new Option(text, value));
  list.addEventListener("change", () => onChoose(list.value));
  const line = document.createElement("label");
  line.append(label, list);
  return line;
}

function checkbox(label, checked, onToggle) {
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = checked;
  box.addEventListener("change", () => onToggle(box.checked));
  const line = document.createElement("label");
  line.append(box, label);
  return line;
}

class Note extends WidgetType {
  constructor(message, severity) {
    super();
    this.message = message;
    this.severity = severity;
  }

  eq(other) {
    return other.message === this.message && other.severity === this.severity;
  }

  toDOM() {
    const line = document.createElement("div");
    line.className = `cm-note cm-note-${this.severity}`;
    line.textContent = this.message;
    return line;
  }
}

class Mark extends GutterMarker {
  constructor(severity) {
    super();
    this.elementClass = `cm-marked cm-marked-${severity}`;
  }
}

const setNotes = StateEffect.define();

/**
 * What a check says of the text's lines: each note stands below its line, a mark beside its number, and both move with
 * the line while one types.
 */
const notes = StateField.define({
  create: () => ({ below: Decoration.none, beside: RangeSet.empty }),
  update(shown, transaction) {
    const said = transaction.effects.find((effect) => effect.is(setNotes));
    if (said === undefined) {
      if (!transaction.docChanged) return shown;
      const { changes } = transaction;
      return { below: shown.below.map(changes), beside: shown.beside.map(changes) };
    }
    const { doc } = transaction.state;
    const lined = said.value.map((note) => ({ ...note, at: doc.line(Math.min(Math.max(note.line, 1), doc.lines)) }));
    return {
      below: Decoration.set(
        lined.flatMap(({ at, message, severity }) => [
          Decoration.line({ class: `cm-noted cm-noted-${severity}` }).range(at.from),
          Decoration.widget({ widget: new Note(message, severity), block: true, side: 1 }).range(at.to),
        ]),
        true,
      ),
      beside: RangeSet.of(lined.map(({ at, severity }) => new Mark(severity).range(at.from)), true),
    };
  },
  provide: (field) => [
    EditorView.decorations.from(field, ({ below }) => below),
    gutterLineClass.from(field, ({ beside }) => beside),
  ],
});

/**
 * Enter before text that stands there already: its indentation stays as it is, to the blank. CodeMirror's own would take
 * away what is blank to the right, and guess anew; in Python that is another program.
 */
function breakBefore({ state, dispatch }) {
  const { main, ranges } = state.selection;
  if (ranges.length > 1 || !main.empty || state.readOnly) return false;
  const line = state.doc.lineAt(main.head);
  const [left, right] = [line.text.slice(0, main.head - line.from), line.text.slice(main.head - line.from)];
  const isBefore = !/\S/.test(left) && /\S/.test(right);
  if (!isBefore && !/^(\t|\s{2,})\S/.test(right)) return false;
  const at = isBefore ? line.from : main.head;
  const changes = state.changes({ from: at, insert: state.lineBreak });
  const head = changes.mapPos(main.head, 1);
  dispatch(state.update({ changes, selection: { anchor: head }, scrollIntoView: true, userEvent: "input" }));
  return true;
}

/** The button that takes one change back; the other of the two that a merge view offers has no meaning here. */
function chunkButton(type, action) {
  const button = document.createElement(type === "reject" ? "button" : "span");
  if (type === "accept") return button;
  button.type = "button";
  button.className = "cm-take-back";
  button.textContent = "Take back";
  button.title = "Put back what stood here before (F8)";
  button.addEventListener("mousedown", action);
  return button;
}

/**
 * Open an editor as the last child of `parent`.
 *
 *   const editor = openEditor({parent, original, doc, language: "python", label: "Script", onSave, onCancel})
 *
 * parent     element that receives the editor's host element
 * original   text to compare with, where there is no `before`
 * before     what stood there before the patch; null where that is no question
 * folded     whether unchanged lines are folded at first
 * doc        text to start from; `original` when left out
 * language   "python", "yaml", "json" or "text"; long lines wrap in all but Python
 * label      the accessible name; "Edited text" when left out
 * onSave     called with the text on Ctrl+Enter, Cmd+Enter, Ctrl+S and Cmd+S
 * onCancel   called with `isDirty()` on Escape; closes nothing by itself
 * onChange   called with `isDirty()` after each change of the text
 * onDrop     called on Ctrl+Shift+X and Cmd+Shift+X
 *
 * Returns `{getText, isDirty, focus, showDiff, showNotes, destroy}`. `showNotes([{line: 3, severity: "hold" or
 * "warning" or "note", message}])` puts sentences below lines, in place of those before. `getText()` is exact: CRLF,
 * lone CR, form feeds and U+2028 come back as they were. `isDirty()` says whether the text differs from the `doc` it
 * was opened with.
 */
export function openEditor({
  parent,
  original,
  before = null,
  folded = false,
  doc = original,
  language = "text",
  label = "Edited text",
  onSave = () => {},
  onCancel = () => {},
  onChange = () => {},
  onDrop = () => {},
}) {
  const separator = lineSeparatorOf(original, doc);
  const textOf = (string) => Text.of(string.split(separator));
  const startText = textOf(doc);
  const comparison = new Compartment();
  const shown = { diff: true, folded: folded && before !== doc, against: before ?? original };

  const compare = () =>
    shown.diff
      ? unifiedMergeView({
          original: textOf(shown.against),
          mergeControls: chunkButton,
          diffConfig: { override: compareByLines },
          ...(shown.folded && { collapseUnchanged: { margin: 3, minSize: 6 } }),
        })
      : [];
  const show = (change) => {
    Object.assign(shown, change);
    view.dispatch({ effects: comparison.reconfigure(compare()) });
  };
  const getText = () => view.state.sliceDoc();
  const isDirty = () => !view.state.doc.eq(startText);
  const save = () => {
    onSave(getText());
    return true;
  };
  const cancel = () => {
    onCancel(isDirty());
    return true;
  };
  const drop = () => {
    onDrop();
    return true;
  };

  const viewOptions = () => {
    const dom = document.createElement("div");
    const hint = document.createElement("span");
    hint.textContent = "Ctrl+Enter saves, Esc leaves";
    dom.className = "cm-view-options";
    dom.append(
      checkbox("Show changes", shown.diff, (diff) => show({ diff })),
      ...(before === null
        ? []
        : [
            selection("from", [["before", "the text before the patch"], ["original", "the text in the log"]], (against) =>
              show({ against: against === "before" ? before : original }),
            ),
          ]),
      checkbox("Fold unchanged lines", shown.folded, (folded) => show({ folded })),
      hint,
    );
    dom.addEventListener("keydown", (event) => event.key === "Escape" && cancel());
    return { dom, top: true };
  };

  const host = document.createElement("div");
  host.className = "editor";
  parent.append(host);
  const root = host.attachShadow({ mode: "open" });
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: startText,
      extensions: [
        EditorState.lineSeparator.of(separator),
        EditorView.clipboardInputFilter.of((text) => text.replace(/\r\n?|\n/g, separator)),
        EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" }),
        EditorState.tabSize.of(4),
        indentUnit.of(/^\t/m.test(original) ? "\t" : language === "python" ? "    " : "  "),
        showPanel.of(viewOptions),
        lineNumbers(),
        highlightSpecialChars({ render: showSpecialChar }),
        highlightActiveLine(),
        highlightActiveLineGutter(),
        history(),
        bracketMatching(),
        indentOnInput(),
        search({ top: true }),
        LANGUAGES[language]?.() ?? [],
        language === "python" ? [] : EditorView.lineWrapping,
        notes,
        syntaxHighlighting(highlight),
        theme,
        // Tab is left to the browser: it moves on, as everywhere on the page.
        Prec.highest(
          keymap.of([
            { key: "Mod-Enter", run: save, preventDefault: true },
            { key: "Mod-s", run: save, preventDefault: true },
            { key: "Mod-Shift-x", run: drop, preventDefault: true },
            { key: "F7", run: goToNextChunk, shift: goToPreviousChunk, preventDefault: true },
            { key: "F8", run: rejectChunk, preventDefault: true },
          ]),
        ),
        keymap.of([{ key: "Enter", run: breakBefore, shift: breakBefore }, ...searchKeymap, ...historyKeymap, ...defaultKeymap]),
        // Last: Escape first closes the search and drops a selection.
        Prec.lowest(keymap.of([{ key: "Escape", run: cancel }])),
        comparison.of(compare()),
        EditorView.updateListener.of((update) => update.docChanged && onChange(isDirty())),
      ],
    }),
  });
  return {
    getText,
    isDirty,
    focus: () => view.focus(),
    showDiff: (diff) => show({ diff }),
    showNotes: (said) => view.dispatch({ effects: setNotes.of(said) }),
    destroy() {
      view.destroy();
      host.remove();
    },
  };
}
