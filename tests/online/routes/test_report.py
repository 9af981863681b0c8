"""The report as browsers and scripts see it: who may read it, about which collections, and that it is kept."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from pathlib import Path

import httpx
import pytest
from bs4 import BeautifulSoup

from online.http.authentication import hash_key
from rag.collection_settings import CollectionSettings
from tests.online.conftest import LIBRARY, MUSEUM, Corpus, Library, Serve
from tests.online.routes.test_review import fields, shown

BOTH = {"library": CollectionSettings(documents=[]), "museum": CollectionSettings(documents=[])}
HELD_BACK = "What does a lost card cost?"
KEYS = {
    "owner": {"hash": hash_key("owner"), "scopes": ["report"]},
    "librarian": {"hash": hash_key("librarian"), "scopes": ["report", "review"], "collections": ["library"]},
    "asker": {"hash": hash_key("asker"), "scopes": ["ask", "review"]},
}


@pytest.fixture(scope="module")
def release_to_report(tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path) -> Path:
    data = tmp_path_factory.mktemp("to-report")
    held_back = Corpus(LIBRARY.documents, LIBRARY.answers, withheld=frozenset({HELD_BACK}))
    Library(data, encoder_folder).publish(library=held_back, museum=MUSEUM)
    return data


@pytest.fixture
def service(library: Library, release_to_report: Path, serve: Serve) -> httpx.Client:
    shutil.copytree(release_to_report, library.data)
    return serve(BOTH, keys=KEYS)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def sign_in(client: httpx.Client, key: str) -> httpx.Response:
    form = fields(shown(client.get("/report/sign-in")).main.form)
    return client.post("/report/sign-in", data=form | {"key": key})


def test_a_browser_signs_in_reads_and_signs_out(service: httpx.Client) -> None:
    assert service.get("/report").headers["location"] == "/report/sign-in"
    signed = sign_in(service, "owner")
    assert signed.headers["location"] == "/report"
    assert "Path=/report" in signed.headers.get_list("set-cookie")[0].split("; ")

    page = service.get("/report?days=7&collection=library")

    assert page.status_code == 200
    assert "Answers given beforehand: library" in page.text
    assert "7 days" in page.text
    assert HELD_BACK in page.text
    form = BeautifulSoup(page.text, "html.parser").select_one('form[action="/report/sign-out"]')
    assert form is not None
    out = fields(form)
    assert service.post("/report/sign-out", data=out).status_code == 303
    assert service.get("/report").status_code == 303


def test_the_page_may_load_nothing_and_its_own_style_is_allowed(service: httpx.Client) -> None:
    page = service.get("/report", headers=bearer("owner"))
    style = re.findall(r"<style>(.*?)</style>", page.text, re.DOTALL)
    hashed = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert len(style) == 1
    assert f"style-src 'sha256-{hashed}'" in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert " style=" not in page.text


def test_a_key_without_the_scope_reads_nothing(service: httpx.Client) -> None:
    assert sign_in(service, "asker").status_code == 403
    assert service.get("/report", headers=bearer("asker")).status_code == 403
    assert service.get("/report", headers=bearer("wrong")).status_code == 401
    assert HELD_BACK not in service.get("/report", headers=bearer("asker")).text


def test_a_key_reads_of_its_own_collections_only(service: httpx.Client) -> None:
    assert service.get("/report?collection=museum", headers=bearer("librarian")).status_code == 403
    page = service.get("/report", headers=bearer("librarian")).text
    assert "Answers given beforehand: library" in page
    assert "Audit of this release" not in page  # it is about all collections
    assert "Audit of this release" not in service.get("/report?collection=library", headers=bearer("owner")).text


def test_only_reviewers_get_links_to_the_review_page(service: httpx.Client) -> None:
    assert 'href="/review/questions/' in service.get("/report", headers=bearer("librarian")).text
    assert 'href="/review' not in service.get("/report", headers=bearer("owner")).text


def test_a_script_gets_markdown(service: httpx.Client) -> None:
    response = service.get("/report", headers=bearer("owner") | {"accept": "text/markdown"})
    assert response.headers["content-type"].startswith("text/markdown")
    assert response.text.startswith("# Answers given beforehand\n")


@pytest.mark.parametrize("days", ["0", "367", "x", "-1", "9" * 5000, ""])
def test_wrong_days_are_refused_in_a_sentence(service: httpx.Client, days: str) -> None:
    response = service.get("/report", params={"days": days}, headers=bearer("owner"))
    assert response.status_code == 422
    assert "Days are a whole number from 1 to 366." in response.text


def test_a_report_is_kept_until_a_new_release_is_current(
    library: Library, service: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written() -> str:
        page = service.get("/report", headers=bearer("owner")).text
        return re.search(r"release ([0-9T]+-[0-9a-f]+)", page)[1]  # type: ignore[index]

    first = written()
    monkeypatch.setattr("warehouse.reporting.figures.report_of", lambda *_, **__: pytest.fail("made again"))
    assert written() == first
    monkeypatch.undo()
    assert written() == first
    assert library.publish(library=LIBRARY, museum=MUSEUM) == written() != first


def test_without_a_release_or_keys_a_sentence_says_so(serve: Serve) -> None:
    with serve.stopping(BOTH, keys=KEYS) as client:
        response = client.get("/report", headers=bearer("owner"))
        assert (response.status_code, "holds no release yet" in response.text) == (503, True)
    with serve.stopping(BOTH) as client:
        assert "beforehand key NAME --scope report" in client.get(client.get("/report").headers["location"]).text
