"""Templates read what their view declares and nothing else, and every fragment is a block of its page."""

import ast
import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, meta

from app.web import (
    accounts_page,
    bulk_page,
    cluster_page,
    comments_page,
    diff_page,
    edit_page,
    examples_page,
    exports_page,
    guidelines_page,
    imports,
    insight_page,
    jobs_page,
    ladder,
    members_page,
    opinions_page,
    preferences_page,
    project_page,
    queue,
    releases_page,
    retention_page,
    review_page,
    team_page,
    templates_page,
    views_page,
    webhooks_page,
)
from app.web.render import ErrorView, environment

GIVEN = {"path", "sitemap", "may", "theme", "url", "asset", "ui", "version", "keys", "me", "desk", "wraps"}
VIEWS: dict[str, Any] = {
    "queue.html": queue.QueueView,
    "done.html": queue.DoneView,
    "review.html": review_page.ReviewView,
    "edit.html": edit_page.EditView,
    "imports.html": imports.ImportsView,
    "report.html": imports.ReportView,
    "delivery.html": imports.DeliveryView,
    "quarantine.html": imports.QuarantineView,
    "quarantined.html": imports.HeldView,
    "examples.html": examples_page.ExamplesView,
    "exports.html": exports_page.ExportsView,
    "releases.html": releases_page.ReleasesView,
    "release_preview.html": releases_page.PreviewView,
    "release.html": releases_page.ReleaseView,
    "preferences.html": preferences_page.PreferencesView,
    "project.html": project_page.ProjectView,
    "templates.html": templates_page.TemplatesView,
    "template.html": templates_page.TemplateView,
    "job.html": jobs_page.JobView,
    "bulk.html": bulk_page.BulkView,
    "bulk_act.html": bulk_page.ActView,
    "cluster.html": cluster_page.ClusterView,
    "clusters.html": cluster_page.ClustersView,
    "diff.html": diff_page.PieceView,
    "insight.html": insight_page.InsightView,
    "agreement.html": opinions_page.AgreementView,
    "me.html": opinions_page.MeView,
    "views.html": views_page.ViewsView,
    "login.html": accounts_page.LoginView,
    "come_in.html": accounts_page.ComeInView,
    "account.html": accounts_page.AccountView,
    "members.html": members_page.MembersView,
    "server.html": members_page.ServerView,
    "audit.html": members_page.AuditView,
    "guidelines.html": guidelines_page.GuidelinesView,
    "comment_new.html": comments_page.NewView,
    "thread.html": comments_page.ThreadView,
    "retention.html": retention_page.RetentionView,
    "webhooks.html": webhooks_page.WebhooksView,
    "error.html": ErrorView,
}
ROUTES = [
    Path(str(module.__file__))
    for module in (
        accounts_page,
        bulk_page,
        cluster_page,
        comments_page,
        diff_page,
        edit_page,
        exports_page,
        guidelines_page,
        imports,
        insight_page,
        jobs_page,
        ladder,
        members_page,
        opinions_page,
        project_page,
        queue,
        releases_page,
        retention_page,
        review_page,
        team_page,
        templates_page,
        views_page,
        webhooks_page,
    )
]


# A block that is also filled by itself, with a view of its own, reads what the page gives it in a loop.
OF_A_BLOCK = {"examples.html": {"one"}}


@pytest.mark.parametrize("name", VIEWS)
def test_a_template_reads_what_its_view_declares(name: str) -> None:
    made = environment()
    assert made.loader is not None
    source = made.loader.get_source(made, name)[0]
    read = meta.find_undeclared_variables(made.parse(source)) - GIVEN - OF_A_BLOCK.get(name, set())
    declared = {field.name for field in dataclasses.fields(VIEWS[name])}

    assert read <= declared
    assert declared - read - _read_within(made, source) <= {"n_quarantined"}, "a field that the template does not read"


def _read_within(made: Environment, source: str) -> set[str]:
    """What the templates that it includes read, which see all of its view."""
    within: set[str] = set()
    for name in re.findall(r'{%-? include "(.+?)"', source):
        inner = made.loader.get_source(made, name)[0] if made.loader is not None else ""
        within |= meta.find_undeclared_variables(made.parse(inner)) | _read_within(made, inner)
    return within


def test_every_page_has_a_view() -> None:
    pages = {name for name in environment().list_templates() if not name.startswith("_")}

    assert pages == set(VIEWS) | {"base.html"}


@pytest.mark.parametrize("route", ROUTES, ids=lambda path: path.name)
def test_a_fragment_is_a_block_of_its_page(route: Path) -> None:
    made = environment()
    named = re.findall(r'"(\w+\.html)",[^)]*?fragment="(\w+)"', route.read_text(), re.DOTALL)

    for template, block in named:
        assert block in made.get_template(template).blocks


@pytest.mark.parametrize("route", ROUTES, ids=lambda path: path.name)
def test_routes_hand_the_session_on_and_never_use_it(route: Path) -> None:
    uses = [
        f"line {node.lineno}: session.{node.attr}"
        for node in ast.walk(ast.parse(route.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "session"
    ]

    assert uses == []
