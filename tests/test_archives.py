"""Archives: every plain file comes out under a name of ours, and whatever means harm is refused whole."""

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import archives
from app.archives import Unpacked, find_kind, is_archive, safe_name
from app.errors import AppError, BadInputError, NotStoredError, TooLargeError, UnsupportedError
from app.settings import Settings
from tests.hostile import cases

FILES = {"p/.agent_data/success_memory.jsonl": b"{}\n", "p/.autopatches/feature/a 'b': c/patch_meta.json": b"{}"}
LINK, DEVICE, PIPE = stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o600, stat.S_IFIFO | 0o600


def zipped(files: dict[str, bytes], *, mode: int = 0o100644, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo("placeholder")
            info.filename, info.external_attr, info.compress_type = name, mode << 16, method
            archive.writestr(info, content)
    return made.getvalue()


def tarred(files: dict[str, bytes], *, kind: bytes = tarfile.REGTYPE, form: int = tarfile.PAX_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            info.size = len(content) if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def header(name: bytes, *, size: bytes = b"0", kind: bytes = b"0") -> bytes:
    """One header block of a tar, with its checksum."""
    block = bytearray(512)
    block[: len(name)] = name
    block[124 : 124 + len(size)] = size
    block[156:157] = kind
    block[257:263] = b"ustar\0"
    block[148:156] = b" " * 8
    block[148:155] = b"%06o\0" % sum(block)
    return bytes(block)


def unpack(tmp_path: Path, content: bytes, **limits: int) -> Unpacked:
    path = tmp_path / "archive"
    path.write_bytes(content)
    settings = Settings(data_dir=tmp_path).model_copy(update=limits)
    return archives.unpack(path, tmp_path / f"into-{len(list(tmp_path.iterdir()))}", settings)


def contents(unpacked: Unpacked) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in unpacked.files}


def nothing_stays(tmp_path: Path) -> bool:
    return [path.name for path in tmp_path.rglob("*")] == ["archive"]


# ------------------------------------------------------------------------------------------------ sound ones


@pytest.mark.parametrize(
    "content",
    [
        zipped(FILES),
        zipped(FILES, method=zipfile.ZIP_STORED),
        tarred(FILES),
        tarred(FILES, form=tarfile.GNU_FORMAT),
        tarred(FILES, form=tarfile.USTAR_FORMAT),
        gzip.compress(tarred(FILES)),
    ],
    ids=["zip", "stored", "pax", "gnu", "ustar", "tar.gz"],
)
def test_every_file_comes_out_under_a_name_of_ours(tmp_path: Path, content: bytes) -> None:
    made = unpack(tmp_path, content)

    assert contents(made) == FILES
    assert [path.name for _, path in made.files] == ["000001", "000002"]
    assert made.broken == []


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_a_long_name_is_read_whole(tmp_path: Path, form: int) -> None:
    name = "/".join(["a folder of twenty   "] * 9) + "/patch_meta.json"

    assert contents(unpack(tmp_path, tarred({name: b"x" * 1000}, form=form))) == {name: b"x" * 1000}


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_names_in_other_scripts_are_kept_and_what_hides_is_escaped(tmp_path: Path, pack: object) -> None:
    made = unpack(tmp_path, pack({"каталог/日本.json": b"1", "r\u202elnosj.jsonl": b"2", "a\nb\x1b[2J": b"3"}))  # type: ignore[operator]

    assert [name for name, _ in made.files] == ["каталог/日本.json", r"r\u202elnosj.jsonl", r"a\nb\x1b[2J"]


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_what_tools_keep_for_themselves_is_not_unpacked(tmp_path: Path, pack: object) -> None:
    files = {
        "p/.git/objects/1": b"x",
        "p/node_modules/a/package.json": b"{}",
        "__MACOSX/p/._a.json": b"\0",
        "p/._a": b"",
    }

    made = unpack(tmp_path, pack(files | {"p/.gitignore": b"", "p/a.json": b"{}"}))  # type: ignore[operator]

    assert [name for name, _ in made.files] == ["p/.gitignore", "p/a.json"]
    assert made.n_beside == 4


def test_links_in_a_virtual_environment_are_no_reason_to_refuse(tmp_path: Path) -> None:
    made = unpack(tmp_path, tarred({"p/.venv/bin/python": b""}, kind=tarfile.SYMTYPE))

    assert made == Unpacked([], [], 1)


@pytest.mark.parametrize("content", [zipped({}), tarred({"p/": b""}, kind=tarfile.DIRTYPE)], ids=["zip", "tar"])
def test_an_archive_without_files_is_empty(tmp_path: Path, content: bytes) -> None:
    assert unpack(tmp_path, content) == Unpacked([], [])


def test_folders_of_an_archive_are_no_files(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.mkdir("p")
        archive.writestr("p/a", "1")

    assert contents(unpack(tmp_path, made.getvalue())) == {"p/a": b"1"}


def test_backslashes_divide_folders(tmp_path: Path) -> None:
    assert contents(unpack(tmp_path, zipped({"p\\.agent_data\\a.json": b"1"}))) == {"p/.agent_data/a.json": b"1"}


def test_thousands_of_members_come_out(tmp_path: Path) -> None:
    files = {f"p/{number}.json": b"%d" % number for number in range(3000)}

    assert contents(unpack(tmp_path, gzip.compress(tarred(files)))) == files


def test_a_zip_with_large_numbers_is_read(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive, archive.open("a.json", "w", force_zip64=True) as member:
        member.write(b"{}")

    assert contents(unpack(tmp_path, made.getvalue())) == {"a.json": b"{}"}


# ------------------------------------------------------------------------------------------------ what it is


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (zipped(FILES), "zip"),
        (zipped({}), "zip"),
        (tarred(FILES), "tar"),
        (gzip.compress(tarred(FILES), mtime=0), "tar.gz"),
        (gzip.compress(b'{"a": 1}\n' * 1000, mtime=0), None),
        (b"\x1f\x8b" + bytes(600), None),
        (b'{"a": 1}\n' * 1000, None),
        (bytes(1024), None),
        (b"", None),
    ],
)
def test_an_archive_is_known_by_its_content(tmp_path: Path, content: bytes, kind: str | None) -> None:
    (tmp_path / "success_memory.jsonl").write_bytes(content)

    assert find_kind(content) == kind
    assert is_archive(tmp_path / "success_memory.jsonl") is (kind is not None)


# ------------------------------------------------------------------------------------------------ hostile ones

CLIMBING = [
    "../evil", "a/../../evil", "a/..", "..", "/etc/evil", "//server/evil", "C:\\evil", "c:/evil", "..\\evil", "\\evil",
    "a\\..\\..\\evil",
]  # fmt: skip


@pytest.mark.parametrize("name", CLIMBING)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_name_that_leads_elsewhere_refuses_the_whole_archive(tmp_path: Path, pack: object, name: str) -> None:
    canary = tmp_path.parent / "evil"

    with pytest.raises(BadInputError, match="points outside") as refused:
        unpack(tmp_path, pack({"good.json": b"{}", name: b"{}"}))  # type: ignore[operator]

    assert refused.value.code == "unsafe_name"
    assert nothing_stays(tmp_path)
    assert not canary.exists()


@pytest.mark.parametrize("name", CLIMBING)
def test_a_folder_that_leads_elsewhere_refuses_it_too(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputError, match="points outside"):
        unpack(tmp_path, zipped({f"{name}/": b""}))


@pytest.mark.parametrize("name", ["", "x" * 1001])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputError, match="empty or longer"):
        unpack(tmp_path, zipped({name: b"{}"}))


@pytest.mark.parametrize(
    "content",
    [
        zipped({"link.jsonl": b"/etc/passwd"}, mode=LINK),
        zipped({"tty": b""}, mode=DEVICE),
        zipped({"pipe": b""}, mode=PIPE),
        tarred({"link.jsonl": b""}, kind=tarfile.SYMTYPE),
        tarred({"link.jsonl": b""}, kind=tarfile.LNKTYPE),
        tarred({"tty": b""}, kind=tarfile.CHRTYPE),
        tarred({"disk": b""}, kind=tarfile.BLKTYPE),
        tarred({"pipe": b""}, kind=tarfile.FIFOTYPE),
        tarred({"holes": b""}, kind=tarfile.GNUTYPE_SPARSE),
        header(b"unknown", kind=b"Q") + bytes(1024),
    ],
)
def test_what_is_no_plain_file_refuses_the_whole_archive(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UnsupportedError, match="only plain files are read"):
        unpack(tmp_path, content)

    assert nothing_stays(tmp_path)


def test_a_sparse_file_said_in_a_pax_header_is_refused(tmp_path: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("holes")
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.name": "holes", "GNU.sparse.realsize": "99"}
        archive.addfile(info)

    with pytest.raises(UnsupportedError, match="only plain files are read"):
        unpack(tmp_path, made.getvalue())


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_doubled_name_is_refused(tmp_path: Path, pack: object) -> None:
    content = pack({"a/b.json": b"1", "./a//b.json": b"2"})  # type: ignore[operator]

    with pytest.raises(BadInputError, match=r"a/b\.json twice"):
        unpack(tmp_path, content)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped({"a.json": b"{}"}))
    listed = content.rindex(b"PK\x01\x02")
    content[6] |= 1
    content[listed + 8] |= 1

    with pytest.raises(UnsupportedError, match="encrypted"):
        unpack(tmp_path, bytes(content))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_than_deflate_are_refused(tmp_path: Path, method: int) -> None:
    with pytest.raises(UnsupportedError, match="another method"):
        unpack(tmp_path, zipped({"a.json": b"{}" * 100}, method=method))


@pytest.mark.parametrize(
    "content",
    [
        zipped({"a": bytes(65 << 20)}),
        zipped({f"{number}": bytes(7 << 20) for number in range(10)}),
        gzip.compress(tarred({"a": bytes(65 << 20)})),
        # The rest of a packed stream counts although nothing in it is kept.
        gzip.compress(tarred({"p/.git/a": bytes(65 << 20)})),
        gzip.compress(tarred({"a": b""}) + bytes(65 << 20)),
    ],
    ids=["zip", "many", "tar.gz", "skipped", "after the end"],
)
def test_a_bomb_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(TooLargeError, match="unpacks to far more") as refused:
        unpack(tmp_path, content)

    assert refused.value.code == "bomb"
    assert nothing_stays(tmp_path)


def test_the_limits_are_those_of_the_settings(tmp_path: Path) -> None:
    content = zipped({"a": b"x" * 3000}, method=zipfile.ZIP_STORED)

    assert contents(unpack(tmp_path, content, max_unpacked_bytes=3000)) == {"a": b"x" * 3000}
    with pytest.raises(TooLargeError):
        unpack(tmp_path, content, max_unpacked_bytes=2999)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_too_many_members_are_refused(tmp_path: Path, pack: object) -> None:
    content = pack({f"{number}.jsonl": b"" for number in range(101)})  # type: ignore[operator]

    assert len(unpack(tmp_path, content, max_members=101).files) == 101
    with pytest.raises(TooLargeError, match="more than 100 members"):
        unpack(tmp_path, content, max_members=100)


def test_a_header_of_any_size_is_not_taken_into_memory(tmp_path: Path) -> None:
    content = header(b"long", size=b"7777777777", kind=b"x") + bytes(1024)

    with pytest.raises(BadInputError, match="header of 1,073,741,823 bytes"):
        unpack(tmp_path, content)


@pytest.mark.parametrize("size", [b"\xff" * 12, b"-1", b"9", b"0x10"])
def test_a_size_that_is_no_number_is_no_header(tmp_path: Path, size: bytes) -> None:
    with pytest.raises(BadInputError, match="header that is none"):
        unpack(tmp_path, header(b"a", size=size) + bytes(1024))


@pytest.mark.parametrize("note", [b"0 path=a\n", b"path=a\n", b"99 path=a\n", b"9 path=a", b"8 path a\n"])
def test_a_pax_header_that_is_none_is_refused(tmp_path: Path, note: bytes) -> None:
    content = header(b"note", size=b"%o" % len(note), kind=b"x") + note.ljust(512, b"\0") + header(b"a") + bytes(1024)

    with pytest.raises(BadInputError, match="header that is none"):
        unpack(tmp_path, content)


# ------------------------------------------------------------------------------------------------ two kinds at once


def test_a_tar_that_ends_as_a_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="a zip and a tar at once"):
        unpack(tmp_path, tarred({"a": b"1"}) + zipped({"a": b"2"}))


def test_a_zip_whose_first_block_is_a_tar_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="a zip and a tar at once"):
        unpack(tmp_path, header(b"PK\x03\x04") + zipped({"a": b"2"}))


def test_a_log_with_a_zip_behind_it_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="no zip"):
        unpack(tmp_path, b'{"a": 1}\n' * 100 + zipped({"a": b"2"}))


@pytest.mark.parametrize(
    "content",
    [
        zipped(FILES)[:-1],
        zipped(FILES) + b"more",
        zipped(FILES)[:100],
        zipped({"a": b"1"}) + zipped({"a": b"2"}),
        b"PK\x03\x04 begins as a zip" + zipped(FILES),
    ],
    ids=["cut by a byte", "bytes after it", "cut", "two", "data before it"],
)
def test_a_zip_that_is_not_one_zip_from_end_to_end_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadInputError, match="pack it again"):
        unpack(tmp_path, content)


@pytest.mark.parametrize("claimed", [0, 1, 3, 9999])
def test_a_zip_that_counts_its_members_wrongly_is_refused(tmp_path: Path, claimed: int) -> None:
    content = bytearray(zipped(FILES))
    struct.pack_into("<2H", content, len(content) - 14, claimed, claimed)

    with pytest.raises(BadInputError, match="pack it again"):
        unpack(tmp_path, bytes(content))


# ------------------------------------------------------------------------------------------------ damage


def test_a_damaged_member_of_a_zip_is_named_and_its_neighbours_are_in(tmp_path: Path) -> None:
    content = bytearray(zipped({"a": b"1" * 50, "b": b"2" * 50}, method=zipfile.ZIP_STORED))
    content[content.index(b"1" * 50)] = 0x40

    made = unpack(tmp_path, bytes(content))

    assert contents(made) == {"a": b"", "b": b"2" * 50}
    ((name, why),) = made.broken
    assert name == "a"
    assert "CRC" in why


def test_what_stands_before_the_cut_of_a_tar_is_in(tmp_path: Path) -> None:
    lines = b"".join(b'{"n": %d}\n' % number for number in range(10_000))

    made = unpack(tmp_path, gzip.compress(tarred({"a.jsonl": b"{}\n", "b.jsonl": lines}))[:-3000])

    assert contents(made)["a.jsonl"] == b"{}\n"
    assert lines.startswith(contents(made)["b.jsonl"])
    assert [name for name, _ in made.broken] == ["b.jsonl"]
    assert made.broken[0][1].startswith("The archive is cut or damaged here")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (tarred({"a": b"1"})[:1024], "was cut"),
        (tarred({"a": b"1"})[:1024] + b"no header" * 100, "damaged near its byte"),
        (tarred({"a": b"1"}) + b"garbage", "after its end, which were not read"),
        (gzip.compress(tarred({"a": b"1"})) + b"garbage", "damaged after its end"),
        (gzip.compress(tarred({"a": b"1"}))[:-8] + bytes(8), "damaged after its end"),
    ],
)
def test_what_is_wrong_with_the_rest_of_a_tar_is_said(tmp_path: Path, content: bytes, why: str) -> None:
    made = unpack(tmp_path, content)

    assert contents(made) == {"a": b"1"}
    ((name, said),) = made.broken
    assert name == "(the rest of the archive)"
    assert why in said


def test_a_folder_that_is_there_already_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "into-2").mkdir()
    (tmp_path / "into-2" / "kept").write_text("mine")

    with pytest.raises(NotStoredError, match="File exists"):
        unpack(tmp_path, zipped(FILES))

    assert (tmp_path / "into-2" / "kept").read_text() == "mine"


@pytest.mark.parametrize("case", [case for case in cases("files.jsonl.gz") if case.name.endswith(".zip")], ids=str)
def test_the_hostile_zips_do_no_harm(tmp_path: Path, case: object) -> None:
    content, expect = case.content, case.expect  # type: ignore[attr-defined]
    if expect == "reject":
        with pytest.raises(AppError):
            unpack(tmp_path, content)
        assert nothing_stays(tmp_path)
    else:
        assert len(unpack(tmp_path, content).files) == 3


SOUND = [
    zipped(FILES),
    tarred(FILES),
    gzip.compress(tarred(FILES)),
    tarred({"x" * 300: b"1"}),
    zipped({"a": b"z" * 999}),
]


@given(
    which=st.sampled_from(SOUND),
    cut=st.integers(0, 40),
    changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=6),
)
def test_no_damage_raises_anything_but_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, which: bytes, cut: int, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(which[: len(which) - cut])
    for at, byte in changes:
        content[at % len(content)] = byte
    folder = tmp_path_factory.mktemp("fuzz")

    try:
        made = unpack(folder, bytes(content))
    except AppError:
        assert nothing_stays(folder)
        return
    assert {path.parent for _, path in made.files} <= {folder / "into-1"}
    assert all(why.endswith(".") for _, why in made.broken)


@given(st.text(max_size=40))
def test_a_safe_name_stays_below_whatever_it_is_joined_to(name: str) -> None:
    try:
        safe = safe_name(name)
    except BadInputError:
        return
    assert safe.isprintable()
    assert not safe.startswith("/")
    assert ".." not in safe.split("/")
    assert all(safe.split("/"))
