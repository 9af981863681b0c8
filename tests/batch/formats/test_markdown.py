"""Markdown as the generators of sites write it: what a reader of the page sees, and nothing else."""

import pytest

from batch.formats.markdown import read_markdown, read_mdx


def sections(page):
    return [(section.heading, section.text) for section in page.sections]


def text_of(markdown):
    """The text of a page without headings, its blank lines left out."""
    page = read_markdown(markdown)
    return [line for section in page.sections for line in section.text.split("\n") if line.strip()]


# Titles


@pytest.mark.parametrize(
    "markdown",
    [
        "# Install\n\nText.",
        "<!-- x -->\n# Install\n\nText.",
        "<!--\nOld policy.\n\n## Old\n-->\n\n# Install\n\nText.",
        "import Tabs from '@theme/Tabs';\nimport {\n  A,\n  B,\n} from '../x.mdx'\n\n# Install\n\nText.",
        "> Quoted above.\n\n# Install\n\nText.",
        "> Quoted above.\n\n## Install\n\nText.\n\n## Use\n\nMore.",
        "[](){#top}\n\n# Install { #install }\n\nText.",
        '# <a name="install"></a>Install {#install .big}\n\nText.',
        "# [Install](install.md)\n\nText.",
        "{% include head.html %}\n# Install\n{: .no_toc }\n\nText.",
        "---\ntitle: Install\nother: {{ x }}\n---\n\nText.",
        "---\n# a comment\ntitle: 'Install'\n---\n# Setup\n\nText.",
        '+++\ntitle = "Install"\n+++\n\nText.',
        "Title: Install\nAuthor: Somebody\n\nText.",
        "![Logo](logo.svg)\n\n# Install\n\nText.",
        "```sh\n# no heading\n```\n\n# Install\n\nText.",
    ],
)
def test_the_title_is_the_one_that_a_reader_sees(markdown):
    assert read_markdown(markdown).title == "Install"


def test_a_first_heading_among_equals_below_text_is_no_title():
    assert read_markdown("Welcome.\n\n## One\n\nText.\n\n## Two\n\nText.").title == ""


def test_a_fence_is_never_searched_for_headings():
    page = read_markdown("# Title\n\n1. Run\n\n   ```sh\n   # first\n   make\n   ```\n\n~~~\n# second\n~~~\n")
    assert [heading for heading, _ in sections(page)] == [""]


def test_a_heading_keeps_the_anchor_that_it_names_or_that_generators_make():
    page = read_markdown("# T\n\n## Set-up & Use\n\na\n\n## Other { #own }\n\nb\n\n## Set-up & Use\n\nc")
    assert [section.anchor for section in page.sections] == ["set-up--use", "own", "set-up--use-1"]


def test_front_matter_is_kept_as_fields():
    page = read_markdown("---\ntitle: T\nlang: de\ndate: 2024-05-01\ntags: [a, b]\nslug: /x\n---\nText.")
    assert page.fields == {"title": "T", "lang": "de", "date": "2024-05-01", "tags": ["a", "b"], "slug": "/x"}


# Templates, components, attributes


@pytest.mark.parametrize(
    ("markdown", "lines"),
    [
        ("Use {{ page.version }} now.", ["Use  now."]),
        ("{% include note.html %}\nText.", ["Text."]),
        ('{% include note.html content="Mind the gap." %}', ["Mind the gap."]),
        ("{% if x %}\nShown.\n{% endif %}", ["Shown."]),
        ("{% raw %}{{ shown }}{% endraw %} here", ["{{ shown }} here"]),
        ("{% comment %}gone{% endcomment %}Text.", ["Text."]),
        ("{% highlight ruby %}\nputs 1\n{% endhighlight %}", ["```ruby", "puts 1", "```"]),
        ('See [the page]({{< relref "x.md" >}}).', ["See the page."]),
        ("See [the page]({% link _docs/x.md %}).", ["See the page."]),
        ("{{% optional %}}\nText.\n{{% /optional %}}", ["Text."]),
        ('{{< tab name="Linux" >}}\nText.\n{{< /tab >}}', ["Linux", "Text."]),
        ('A {{< glossary_tooltip text="Pod" term_id="pod" >}} runs.', ["A Pod runs."]),
        (":::note\nText.\n:::", ["Text."]),
        (":::tip[Read this]\nText.\n:::", ["**Read this**", "Text."]),
        ("::: warning Mind\nText.\n:::", ["**Mind**", "Text."]),
        ("/// note | Mind\n\nText.\n\n///", ["**Mind**", "Text."]),
        ('!!! note "Mind"\n    Text.\n\n    - item\n\nAfter.', ["**Mind**", "Text.", "- item", "After."]),
        ('=== "Linux"\n\n    Text.\n\n=== "Mac"\n\n    More.', ["**Linux**", "Text.", "**Mac**", "More."]),
        ("> [!NOTE]\n> Text.", ["> Text."]),
        ("```{note} Mind\nText.\n```", ["**Mind**", "Text."]),
        ("Text.\n{: .note }", ["Text."]),
        ("[Link](x.md){.external target=_blank} here", ["Link here"]),
        ("{* ../../docs_src/x.py *}\n\nText.", ["Text."]),
        ("[TOC]\n\nText.", ["Text."]),
        ('--8<-- "x.md"\n\nText.', ["Text."]),
        ("Text.\n\n---\n\nMore.", ["Text.", "More."]),
        ("Use `run {x}`, `{{ .V.x }}` and {ref}`text`.", ["Use `run {x}`, `{{ .V.x }}` and `text`."]),
        ("Use `{{ x }}` and `<Tabs>`.", ["Use `{{ x }}` and `<Tabs>`."]),
        ("```yaml\nkey: {{ x }}\n```", ["```yaml", "key: {{ x }}", "```"]),
        ('```python hl_lines="1 2"\nx = 1\n```', ["```python", "x = 1", "```"]),
    ],
)
def test_what_a_generator_runs_is_gone_and_what_it_shows_stays(markdown, lines):
    assert text_of(markdown) == lines


@pytest.mark.parametrize(
    ("markdown", "lines"),
    [
        ("::: code-group\n```js [a.js]\nx\n```\n:::", ["**a.js**", "```js", "x", "```"]),  # VitePress
        ("::: details More {open}\nText.\n:::", ["**More**", "Text."]),
        ("<<< @/snippets/a.js{2}\n\n[[toc]]\n\nText.", ["Text."]),
        ("| A | B |\n|---|---|\n| x | :x: |", ["| A | B |", "|---|---|", "| x | ❌ |"]),
        ("```js\nx // [!code ++]\ny\n```", ["```js", "x", "y", "```"]),
        ("```js\n// highlight-next-line\nx\n```", ["```js", "x", "```"]),
        ("(label)=\n% comment\n\n+++\n\nText.", ["Text."]),  # MyST
        (":::{note}\n:class: x\nText.\n:::", ["Text."]),
        ("```{figure} x.png\n:alt: A\n\nCaption.\n```", ["Caption."]),
        ("See {ref}`the guide <guide>`.", ["See the guide."]),
        ('{{< code-toggle file="x" >}}\n[a]\nb = 1\n{{</ code-toggle >}}', ["```", "[a]", "b = 1", "```"]),  # Hugo
        ("{{< code >}}\n```sh\nmake\n```\n{{< /code >}}", ["```sh", "make", "```"]),
        ("{{< highlight go >}}\nx\n{{< / highlight >}}", ["```go", "x", "```"]),
    ],
)
def test_generators_own_syntax_is_what_it_shows(markdown, lines):
    assert text_of(markdown) == lines


def test_a_home_page_of_vitepress_is_its_front_matter():
    page = read_markdown(
        "---\nhero:\n  name: Acme\n  tagline: Pumps\nfeatures:\n  - title: Fast\n    details: Very.\n---\n"
    )
    assert (page.title, page.sections[0].text) == ("Acme", "Pumps\n\n- **Fast**: Very.")


def test_the_data_of_a_component_is_listed():
    page = read_mdx("# T\n\n<Table\n  rows={[\n    {name: 'a', type: 'X<Y>', description: 'Opens \"{\".'},\n  ]}\n/>\n")
    assert page.sections[0].text == '- `a`: `X<Y>`: Opens "{".'


def test_markdown_follows_a_tag_on_its_own_line_in_mdx():
    page = read_mdx("# T\n\n<div style={{x: 1}}>\n| A | B |\n|---|---|\n| 1 | 2 |\n</div>\nText.\n")
    assert [line for line in page.sections[0].text.split("\n") if line] == [
        "| A | B |",
        "|---|---|",
        "| 1 | 2 |",
        "Text.",
    ]


def test_components_go_and_their_text_and_titles_stay():
    page = read_mdx(
        "export const x = 1\n\n<Tabs groupId={['a', 'b'].map(x => x > 1)}>\n"
        '  <TabItem value="l" label="Linux">\n\n    Run **this**:\n\n    ```sh\n    make\n    ```\n\n  </TabItem>\n'
        '</Tabs>\n\n<Card title="Next steps" href="/x" />\n\nUse <Badge text="new" /> it {/* gone */}{"now"}.\n'
    )
    lines = [line for line in page.sections[0].text.split("\n") if line]
    assert lines == ["**Linux**", "Run **this**:", "```sh", "make", "```", "**Next steps**", "Use new it now."]


# HTML among Markdown


@pytest.mark.parametrize(
    ("markdown", "lines"),
    [
        ("Text. <!-- Old policy: refunds take 90 days -->", ["Text."]),
        ("<!-- a\n\n## Old\n\nb -->\n\nText.", ["Text."]),
        ("<svg viewBox='0 0 1 1'><title>T</title><path d='M0 0'/></svg>\n\nText.", ["Text."]),
        ("<video src='x.mp4' controls>No video.</video>\n\nText.", ["Text."]),
        ("<a name='x'></a>Text.", ["Text."]),
        ("[Text](javascript:alert(1)) and [more](x.md 'title').", ["Text and more."]),
        ("![A chart](x.png) shows it.", ["A chart shows it."]),
        ("<img src='x.png' alt='A chart'>", ["A chart"]),
        ("<div align='center'>\n\nText.\n\n</div>", ["Text."]),
        ("<details>\n<summary>More</summary>\n\nText.\n\n</details>", ["More", "Text."]),
        ("One<br>two<br/>three", ["One", "two", "three"]),
        ("fish &amp; chips &copy; 5\\*3", ["fish & chips © 5*3"]),
        ("[Acme](a.md)[Pricing](b.md)", ["Acme Pricing"]),
        ("[Acme][a] and [b].\n\n[a]: https://x.example\n[b]: https://y.example", ["Acme and b."]),
        ("Set <name> to `<b>`.", ["Set <name> to `<b>`."]),
        ("<table>\n<tr><th>A</th></tr>\n\n<tr><td>1</td></tr>\n</table>", ["A", "1"]),
    ],
)
def test_html_among_markdown_is_its_text(markdown, lines):
    assert text_of(markdown) == lines


def test_hidden_elements_are_gone_and_counted():
    page = read_markdown(
        "# Refunds\n\nPaid in 14 days.\n\n<div style='display:none'>\n\nRefunds are never paid.\n\n</div>\n\n"
        "Ask <span hidden>your enemy</span>us.\n"
    )
    assert "\n".join(line for line in page.sections[0].text.split("\n") if line) == "Paid in 14 days.\nAsk us."
    assert page.hidden.characters > 20
    assert page.hidden.sample == "Refunds are never paid."


# What stays as it is written


@pytest.mark.parametrize(
    "text",
    [
        "A paragraph that is\nwrapped, with *emphasis*, `code`, **more** and a | pipe.",
        "- one\n- two\n  goes on\n\n  * nested\n\n1. first\n2. second",
        "> quoted\n> twice\n\nand after",
        "| a | b |\n|---|---|\n| `1` | 2 |\n| 3 | 4 |",
        "    indented = code\n\n    # more",
        "Use a < b && c > d, a_b_c and 2 * 3 * 4, {x} and https://example.org/a_b.",
    ],
)
def test_plain_markdown_is_kept_as_it_is_written(text):
    assert sections(read_markdown(text)) == [("", text)]


def test_lists_and_tables_keep_their_layout_around_a_link():
    text = "- see [one](a.md)\n  and [two](b.md)\n\n| a | b |\n|---|---|\n| [c](d.md) | 1 |"
    shown = "- see one\n  and two\n\n| a | b |\n|---|---|\n| c | 1 |"
    assert sections(read_markdown(text)) == [("", shown)]


def test_a_table_of_contents_and_placeholders_are_no_text():
    page = read_markdown(
        "# T\n\n## Contents\n\n- [One](#one)\n  - [Two](#two)\n\n## One\n\nTODO\n\n---\n\n## Two\n\nText."
    )
    assert sections(page) == [("Two", "Text.")]


def test_a_fence_that_is_never_closed_is_closed():
    assert read_markdown("```sh\nmake").sections[0].text == "```sh\nmake\n```"


def test_the_colours_of_a_terminal_are_no_text():
    styled = (
        '$ <font color="#4E9A06">fastapi</font> run <u style="text-decoration-style:solid">main.py</u>\n'
        '<span style="background-color:#009485"><font color="#D3D7CF"> FastAPI </font></span>  <b>Starting</b> <file>'
    )

    assert text_of(f"# T\n\n```console\n{styled}\n```") == [
        "```console", "$ fastapi run main.py", " FastAPI   Starting <file>", "```"
    ]  # fmt: skip


@pytest.mark.parametrize("fence", ['```html\n<font color="red">Red</font>\n```', "```\n<b>bold</b> and <u>x</u>\n```"])
def test_tags_that_a_block_of_code_is_about_stay(fence):
    assert "\n".join(text_of(f"# T\n\n{fence}")) == fence
