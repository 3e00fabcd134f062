// The editor's looks. Every colour is a pair, so dark and light follow `color-scheme` without a rebuild; app.css may
// set any `--editor-…` on the page, which reaches through the shadow root.
import { HighlightStyle } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const colour = (name, light, dark) => `var(--editor-${name}, light-dark(${light}, ${dark}))`;

const background = colour("background", "#ffffff", "#0d1117");
const raised = colour("raised", "#f6f8fa", "#161b22");
const text = colour("text", "#1f2328", "#e6edf3");
const muted = colour("muted", "#4f5761", "#9da7b1");
const border = colour("border", "#d1d9e0", "#30363d");
const focus = colour("focus", "#0550ae", "#58a6ff");
const added = colour("added", "#e3f9e8", "#12261e");
const addedText = colour("added-text", "#b4ecc3", "#1a4229");
const removed = colour("removed", "#ffeeec", "#2a1416");
const removedText = colour("removed-text", "#ffd3cf", "#66211f");
const addedMark = colour("added-mark", "#1a7f37", "#3fb950");
const removedMark = colour("removed-mark", "#cf222e", "#f85149");

export const theme = EditorView.theme({
  "&": {
    backgroundColor: background,
    color: text,
    border: `1px solid ${border}`,
    borderRadius: "4px",
    fontSize: "var(--editor-font-size, 0.8125rem)",
    height: "var(--editor-height, auto)",
    maxHeight: "var(--editor-max-height, 75vh)",
  },
  "&.cm-focused": { outline: `2px solid ${focus}`, outlineOffset: "1px" },
  ".cm-scroller": {
    fontFamily: "var(--editor-font, ui-monospace, SFMono-Regular, Menlo, Consolas, monospace)",
    lineHeight: "1.5",
    overflow: "auto",
  },
  ".cm-content": { caretColor: text, minHeight: "6lh" },
  ".cm-gutters": { backgroundColor: raised, color: muted, borderRight: `1px solid ${border}` },
  ".cm-activeLine": { backgroundColor: "transparent", boxShadow: `inset 0 0 0 1px ${border}` },
  ".cm-activeLineGutter": { backgroundColor: background, color: text },
  ".cm-matchingBracket": { backgroundColor: "transparent", outline: `1px solid ${muted}` },
  ".cm-nonmatchingBracket": { backgroundColor: removedText },
  ".cm-searchMatch": { backgroundColor: colour("match", "#fff2b0", "#5c4300") },
  ".cm-searchMatch-selected": { backgroundColor: colour("match-selected", "#ffd33d", "#8a6100") },
  ".cm-specialChar": {
    color: colour("special", "#9a2500", "#ffab70"),
    border: "1px solid currentColor",
    borderRadius: "3px",
    fontSize: "0.85em",
    padding: "0 2px",
  },
  ".cm-panels": { backgroundColor: raised, color: text },
  ".cm-panels-top": { borderBottom: `1px solid ${border}` },
  ".cm-panels-bottom": { borderTop: `1px solid ${border}` },
  ".cm-panel.cm-view-options": { display: "flex", flexWrap: "wrap", alignItems: "center", gap: "0 1.25em", padding: "4px 10px" },
  ".cm-view-options label": { display: "inline-flex", alignItems: "center", gap: "0.4em", minHeight: "24px" },
  ".cm-view-options span": { color: muted, marginInlineStart: "auto" },
  ".cm-textfield": { backgroundColor: background, color: text, border: `1px solid ${muted}` },
  ".cm-button": { backgroundImage: "none", backgroundColor: background, color: text, border: `1px solid ${muted}` },
  ".cm-panel.cm-search [name=close]": { color: text },
  ".cm-note": {
    // No margin above or below: the editor does not count it, and every number further down stands too high.
    margin: "0 0 0 14px",
    padding: "2px 8px",
    borderInlineStart: "3px solid currentColor",
    font: "0.8125rem/1.45 system-ui, sans-serif",
    overflowWrap: "anywhere",
    whiteSpace: "normal",
  },
  ".cm-note-hold": { color: colour("hold", "#b3161f", "#ff958d"), backgroundColor: colour("hold-soft", "#ffe9e7", "#3c1618") },
  ".cm-note-warning": { color: colour("warn", "#744900", "#ecc15b"), backgroundColor: colour("warn-soft", "#fff0c7", "#35290c") },
  ".cm-note-note": { color: muted, backgroundColor: raised },
  ".cm-lineNumbers .cm-marked": { position: "relative", fontWeight: "700" },
  ".cm-lineNumbers .cm-marked::before": { content: '"!" / ""', position: "absolute", left: "2px" },
  ".cm-lineNumbers .cm-marked-hold": { color: colour("hold", "#b3161f", "#ff958d") },
  ".cm-lineNumbers .cm-marked-warning": { color: colour("warn", "#744900", "#ecc15b") },
  ".cm-view-options select": { font: "inherit", color: text, backgroundColor: background, border: `1px solid ${muted}`, minHeight: "24px" },
  ".cm-deletedChunk .cm-chunkButtons": { insetInlineEnd: "8px" },
  ".cm-deletedChunk .cm-take-back": {
    font: "0.75rem/1.4 system-ui, sans-serif",
    color: text,
    background: raised,
    border: `1px solid ${muted}`,
    borderRadius: "4px",
    padding: "1px 8px",
    minHeight: "24px",
    cursor: "pointer",
  },
  ".cm-noted": { textDecoration: "underline dotted currentColor", textUnderlineOffset: "3px" },

  // Colour is never the only sign: a bar stands beside what was added, a minus before what was removed.
  "&.cm-merge-b .cm-changedLine": { backgroundColor: added },
  "&.cm-merge-b .cm-changedText": { background: addedText, textDecoration: `underline ${addedMark}` },
  "&.cm-merge-b .cm-changedLineGutter": { background: addedMark },
  ".cm-deletedLineGutter": { background: removedMark },
  ".cm-deletedChunk": { backgroundColor: removed, paddingLeft: "0" },
  ".cm-line, .cm-deletedChunk .cm-deletedLine": { paddingLeft: "14px" },
  ".cm-deletedChunk .cm-deletedLine": { position: "relative" },
  ".cm-deletedChunk .cm-deletedLine::before": {
    content: '"\\2212" / "removed: "',
    color: removedMark,
    left: "3px",
    position: "absolute",
  },
  "&.cm-merge-b .cm-deletedChunk .cm-deletedText": {
    background: removedText,
    textDecoration: `underline ${removedMark}`,
  },
  ".cm-collapsedLines": {
    color: muted,
    background: raised,
    "&:before, &:after": { content: '"\\b7\\b7\\b7" / ""' },
  },
});

export const highlight = HighlightStyle.define([
  { tag: tags.comment, color: muted, fontStyle: "italic" },
  { tag: [tags.string, tags.special(tags.string)], color: colour("string", "#0a3069", "#a5d6ff") },
  { tag: [tags.number, tags.bool, tags.null], color: colour("number", "#0550ae", "#79c0ff") },
  { tag: [tags.keyword, tags.operatorKeyword], color: colour("keyword", "#a40e26", "#ff9790") },
  {
    tag: [tags.definition(tags.function(tags.variableName)), tags.definition(tags.className)],
    color: colour("name", "#6639ba", "#d2a8ff"),
    fontWeight: "600",
  },
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: colour("name", "#6639ba", "#d2a8ff") },
  { tag: tags.meta, color: colour("decorator", "#7a2e00", "#ffa657") },
]);
