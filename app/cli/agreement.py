"""patchsift agreement: how well the people agree who were asked for several opinions."""

from typing import TYPE_CHECKING

from app.cli.terminal import DatabaseUrl, DataDir, Json, ProjectName, opened, print_json, settings_of, tell

if TYPE_CHECKING:
    from app.agreement import Measure


def agreement(
    as_json: Json = False, data_dir: DataDir = None, database_url: DatabaseUrl = None, project: ProjectName = None
) -> None:
    """Krippendorff's alpha over all, Cohen's kappa of each two people, and what they differ on."""
    from app import agreement as domain  # noqa: PLC0415
    from app import projects  # noqa: PLC0415

    with opened(settings_of(data_dir, database_url, project)) as (db, project_id), db.read() as session:
        asked = projects.get_opinions(session, project_id).sentence
        found = domain.look(session, project_id)
    if as_json:
        from app.web.opinions_page import concord_json  # noqa: PLC0415

        print_json(concord_json(found, by_name=True))
        return
    tell(asked)
    tell(f"{found.n:,} candidates were judged by several people; of {found.n_same:,} all said the same.")
    tell(f"Krippendorff's alpha: {_told(found.alpha)}")
    for row in (row for picture in found.pictures for row in picture.rows):
        tell(f"{row.n:>8,}  {row.name}")
    for pair in found.pairs:
        tell(f"{pair.n_same:>4,} of {pair.n:,}  {pair.one} and {pair.other}: kappa {_told(pair.kappa)}")
    for voice in found.voices:
        tell(f"{voice.n_same:>4,} of {voice.n:,}  {voice.name}, as decided in the end")


def _told(measure: "Measure") -> str:
    if measure.value is None:
        return measure.why
    return f"{measure.value:.2f} ({measure.low:.2f} to {measure.high:.2f})"
