"""Croissant metadata of a folder: files with their digests, and the fields of every config, as JSON-LD. Pure.

Source: Croissant 1.0, http://mlcommons.org/croissant/1.0; its own reader is not needed to write it.
"""

import json
from collections.abc import Mapping, Sequence

from app.exports.folder import Written
from app.exports.folder_card import Config
from app.exports.shape import Column, ListOf, Scalar, Struct

NAME = "croissant.json"
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_TYPES: Mapping[Scalar, str] = {
    Scalar.STRING: "sc:Text",
    Scalar.BOOL: "sc:Boolean",
    Scalar.INT64: "sc:Integer",
    Scalar.FLOAT64: "sc:Float",
}
_FORMATS = {"parquet": "application/x-parquet", "jsonl": "application/jsonlines"}

Node = dict[str, object]


def write(
    configs: Sequence[Config], files: Sequence[Written], licences: Sequence[str], name: str, *, version: str, made: str
) -> str:
    """The text of `croissant.json`.

    Args:
        configs: of the folder.
        files: all that were written, of which those with rows are described: Parquet where there is some, else JSONL.
        licences: what the sources say, as names.
        name: of the dataset.
        version: three numbers: `1.0.0`.
        made: the day, `2026-11-23`.

    """
    by_config = {config.name: _files_of(config, files) for config in configs}
    told = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "description": "Examples made of a coding agent's logs that people reviewed one by one. README.md says more.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "citeAs": name,
        "datePublished": made,
        "license": list(licences),
        "url": ".",
        "version": version,
        "distribution": [_distributed(one) for found in by_config.values() for one in found],
        "recordSet": [_record_set(config, file) for config in configs for file in by_config[config.name]],
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _files_of(config: Config, files: Sequence[Written]) -> list[Written]:
    for top in ("data", "jsonl"):
        found = [one for one in files if one.path.startswith(f"{top}/{config.name}/")]
        if found:
            return found
    return []


def _distributed(file: Written) -> Node:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": file.path,
        "contentSize": f"{file.n_bytes} B",
        "encodingFormat": _FORMATS[file.path.rpartition(".")[2]],
        "sha256": file.digest,
    }


def _record_set(config: Config, file: Written) -> Node:
    """The rows of one file: `scaffold_sft_pc/train`, of several shards `scaffold_sft_pc/train-00000-of-00002`."""
    stem = file.path.partition("/")[2].rpartition(".")[0].removesuffix("-00000-of-00001")
    fields = [_field(f"{stem}/{column.name}", column, file.path) for column in config.table.columns]
    return {"@type": "cr:RecordSet", "@id": stem, "name": stem, "field": fields}


def _field(at: str, column: Column, file: str) -> Node:
    """A column. Turns are repeated parts; a list inside a part is left out, because Croissant has no word for it."""
    kind, column_name = column.kind, column.name
    told: Node = {"@type": "cr:Field", "@id": at, "name": column_name}
    if isinstance(kind, ListOf):
        told["repeated"] = True
        kind = kind.of
    source: Node = {"fileObject": {"@id": file}, "extract": {"column": column_name}}
    if isinstance(kind, Scalar):
        return {**told, "dataType": _TYPES[kind], "source": source}
    parts = (
        [(name, inner) for name, inner in kind.fields if isinstance(inner, Scalar)] if isinstance(kind, Struct) else []
    )
    return {
        **told,
        "subField": [
            {
                "@type": "cr:Field",
                "@id": f"{at}/{name}",
                "name": name,
                "dataType": _TYPES[inner],
                "source": {**source, "transform": {"jsonPath": name}},
            }
            for name, inner in parts
        ],
    }
