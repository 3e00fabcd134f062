"""One dataset in one format: examples in, rows out, and the count of whatever happened on the way. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator

from app.examples import Dataset, Split
from app.exports.shape import Format, LeftOutError, Made, Row, Settings, Source, Table, is_same, made_safe


class Run:
    """A format at work on one dataset.

        run = Run(form, Dataset("llm", "scaffold", "sft"))
        for made in run.rows(example, Split.TRAIN):
            file(made.table, made.split).add(encode(made.row))

    Rows come in the order of the examples, those of one example together; where a format has no ids, their number in
    the file is all that leads back. A format with `prepare` must have looked over the same examples before.

    Attributes:
        form: the format.
        dataset: whose examples come in.
        settings: what the first look gave.
        tables: the tables with their columns, as settled for this run.
        left_out: reason → examples that the format cannot say.
        repeated: config → rows that stood there already and are not written twice.
        labels: split and label → rows, where rows have labels.
        n_safe_rows: examples that held a character which no file should.
        n_safe_characters: these characters.
    """

    def __init__(self, form: Format, dataset: Dataset, settings: Settings | None = None) -> None:
        self.form = form
        self.dataset = dataset
        self.settings: Settings = settings or {}
        self.tables = form.tables(self.settings)
        self.left_out: Counter[str] = Counter()
        self.repeated: Counter[str] = Counter()
        self.labels: Counter[tuple[Split, bool]] = Counter()
        self.n_safe_rows = self.n_safe_characters = 0
        self._seen: dict[str, set[tuple[object, ...]]] = {name: set() for name in self.tables}
        self._has_repeats = any(table.once for table in self.tables.values())

    @property
    def configs(self) -> dict[str, Table]:
        """Name of each config → its table: `{"scaffold_sft_pc": Table(…)}`."""
        return {self.form.config(self.dataset, name): table for name, table in self.tables.items()}

    def rows(self, example: Row, split: Split, *, is_safe: bool = False) -> list[Made]:
        """The rows of one example; none where the format cannot say it.

        Args:
            example: a row of the release: its id and the columns of `dataset.columns`.
            split: of the example; a row may go to another one.
            is_safe: whether its texts are known to hold neither NUL nor half a character.

        Raises:
            ShapeError: the format made a row that it does not allow: a bug.

        """
        source = Source(example if is_safe else self._made_safe(example), split)
        try:
            check_source(self.form, source.row)
            made = [*self.form.rows(source, self.settings)]
        except LeftOutError as reason:
            self.left_out[reason.reason] += 1
            return []
        if self._has_repeats:
            made = [one for one in made if self._is_new(one)]
        for one in made:
            self.tables[one.table].validate(one.row, is_safe=True)
        if made and "label" in source.row:
            self.labels[split, source.row["label"] is True] += 1
        return made

    @property
    def warnings(self) -> list[str]:
        """What makes training from these rows worth little, a sentence each; empty where nothing does."""
        n_good, n_bad = (self.labels[Split.TRAIN, label] for label in (True, False))
        if bool(n_good) == bool(n_bad):
            return []
        said, missing = ("good", "bad") if n_good else ("bad", "good")
        rows = f"All {n_good + n_bad:,} rows of the train split are labelled {said} and none {missing}"
        return [f"{rows}: KTO compares both, so it learns nothing from them, and no trainer says so"]

    def _is_new(self, made: Made) -> bool:
        once = self.tables[made.table].once
        if not once:
            return True
        key = tuple(made.row[name] for name in once)
        if key in self._seen[made.table]:
            self.repeated[self.form.config(self.dataset, made.table)] += 1
            return False
        self._seen[made.table].add(key)
        return True

    def _made_safe(self, example: Row) -> Row:
        safe, n_unsafe = safe_row(example)
        if n_unsafe:
            self.n_safe_rows += 1
            self.n_safe_characters += n_unsafe
        return safe


def look(form: Format, sources: Iterable[tuple[Row, Split]]) -> Settings:
    """The settings of a run over these examples, which stream by; empty where the format needs no first look."""
    return {} if form.prepare is None else form.prepare(_said(form, sources))


def _said(form: Format, sources: Iterable[tuple[Row, Split]]) -> Iterator[Source]:
    """The examples that the format can say, as far as this shows before there are settings."""
    for example, split in sources:
        source = Source(safe_row(example)[0], split)
        try:
            check_source(form, source.row)
        except LeftOutError:
            continue
        yield source


def safe_row(example: Row) -> tuple[Row, int]:
    r"""A row with all its texts made safe, and how many characters that cost.

    `{"text": "a\x00", "negatives": ["b"]}` → `({"text": "a\ufffd", "negatives": ["b"]}, 1)`
    """
    changed: dict[str, object] = {}
    n_unsafe = 0
    for name, value in example.items():
        if type(value) is str:
            safe, n = made_safe(value)
            if n:
                changed[name] = safe
                n_unsafe += n
        elif type(value) is list:
            texts = [made_safe(one) if isinstance(one, str) else (one, 0) for one in value]
            if n := sum(n for _, n in texts):
                changed[name] = [one for one, _ in texts]
                n_unsafe += n
    return ({**example, **changed} if changed else example), n_unsafe


def check_source(form: Format, example: Row) -> None:
    """Whether a format can say an example, as far as all formats have it in common.

    Raises:
        LeftOutError: it cannot.

    """
    for name in form.needs:
        value = example.get(name)
        if type(value) is not str or not value or value.isspace():
            raise LeftOutError("empty")
    if form.is_plain and not str(example["prompt"]).endswith("\n"):
        raise LeftOutError("prompt_open")
    if "chosen" in form.needs and is_same(str(example["chosen"]), str(example["rejected"])):
        raise LeftOutError("same_text")
