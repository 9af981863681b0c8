"""PDF, Office and e-books, by the extra `office`."""

import datetime
import io
import zipfile

import pytest

from batch.formats import office
from batch.reading.chunking import chunk
from batch.reading.document import Document
from batch.reading.documents import parse
from rag.text.table_files import Reject

CONTENT_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)


def zipped(**files):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return sink.getvalue()


def read(name, data):
    [item] = parse(name, data, "default")
    return item


def outline(document):
    return [(section.heading, section.text) for section in document.sections]


def test_a_word_file_keeps_its_headings_lists_and_tables():
    def paragraph(text, style=""):
        name = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
        return f"<w:p>{name}<w:r><w:t>{text}</w:t></w:r></w:p>"

    cell = "<w:tc>{}</w:tc>"
    row = f"<w:tr>{cell.format(paragraph('Plan'))}{cell.format(paragraph('Price'))}</w:tr>"
    body = paragraph("Refunds", "Heading1") + paragraph("Within 14 days.") + f"<w:tbl>{row}{row}</w:tbl>"
    xml = f'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>{body}</w:body></w:document>'
    files = {"[Content_Types].xml": CONTENT_TYPES, "_rels/.rels": RELATIONS, "word/document.xml": xml}

    document = read("a.docx", zipped(**files))

    assert (document.title, document.media_type) == ("Refunds", "application/docx")
    assert outline(document) == [("", "Within 14 days.\n\nPlan | Price\nPlan | Price")]


def test_hidden_text_of_a_word_file_is_left_out_and_told():
    def run(text, properties=""):
        return f"<w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r>"

    runs = "".join(
        [
            run("Refunds take 14 days."),
            run("They are never paid.", "<w:vanish/>"),
            run("Ask us.", '<w:vanish w:val="0"/>'),
            run("Nobody sees this.", '<w:sz w:val="2"/>'),
            run("Nor this.", '<w:rStyle w:val="Unseen"/>'),
        ]
    )
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    style = '<w:style w:type="character" w:styleId="Unseen"><w:rPr><w:vanish/></w:rPr></w:style>'
    files = {
        "[Content_Types].xml": CONTENT_TYPES,
        "_rels/.rels": RELATIONS,
        "word/document.xml": f"<w:document {space}><w:body><w:p>{runs}</w:p></w:body></w:document>",
        "word/styles.xml": f"<w:styles {space}>{style}</w:styles>",
    }

    document = read("a.docx", zipped(**files))

    assert outline(document) == [("", "Refunds take 14 days.Ask us.")]
    assert document.hidden.sample == "They are never paid. Nobody sees this. Nor this."


def test_a_long_table_of_a_word_file_repeats_its_header():
    def row(*cells):
        return "<w:tr>" + "".join(f"<w:tc><w:p><w:r><w:t>{cell}</w:t></w:r></w:p></w:tc>" for cell in cells) + "</w:tr>"

    rows = row("City", "Limit") + "".join(row(f"City number {n}", f"{n} euros") for n in range(60))
    look = '<w:tblPr><w:tblLook w:val="04A0"/></w:tblPr>'
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    xml = f"<w:document {space}><w:body><w:tbl>{look}{rows}</w:tbl></w:body></w:document>"
    files = {"[Content_Types].xml": CONTENT_TYPES, "_rels/.rels": RELATIONS, "word/document.xml": xml}

    pieces = chunk(read("a.docx", zipped(**files)), lambda text: len(text.split()), 100, 0)

    assert len(pieces) > 2
    assert {piece.text.split("\n")[0] for piece in pieces} == {"City | Limit"}


def test_the_sheets_of_a_workbook_are_tables():
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Prices"
    for row in (["Plan", "Price"], ["Basic", 5], [None, None], ["Pro", 9.5]):
        book.active.append(row)
    sink = io.BytesIO()
    book.save(sink)

    document = read("prices-2024.xlsx", sink.getvalue())

    assert document.title == "prices 2024"
    assert outline(document) == [("Prices", "| Plan | Price |\n|---|---|\n| Basic | 5 |\n| Pro | 9.5 |")]


@pytest.mark.parametrize(
    ("value", "number_format", "shown"),
    [
        (9.5, "#,##0.00 [$€-407]", "9.50 €"),
        (1234.5, "$#,##0.00", "$1234.50"),
        (0.125, "0.0%", "12.5%"),
        (12, '0 "items"', "12 items"),
        (0.1 + 0.2, "General", "0.3"),
        (-4, "#,##0;[Red]-#,##0", "-4"),
        (datetime.datetime(2026, 5, 1), "yyyy-mm-dd", "2026-05-01"),
        (True, "General", "TRUE"),
    ],
)
def test_a_cell_says_what_a_person_sees_in_it(value, number_format, shown):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["Name", "Value"])
    book.active.append(["x", value])
    book.active["B2"].number_format = number_format
    sink = io.BytesIO()
    book.save(sink)
    assert outline(read("a.xlsx", sink.getvalue())) == [("", f"| Name | Value |\n|---|---|\n| x | {shown} |")]


def test_hidden_sheets_rows_and_columns_are_left_out_and_told():
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["Plan", "Cost to us", "Price"], ["Basic", "cost two", 5], ["Old plan", "", 3]):
        book.active.append(row)
    book.active.column_dimensions["B"].hidden = book.active.row_dimensions[3].hidden = True
    secret = book.create_sheet("Secret")
    secret.append(["The margin is 40 percent"])
    secret.sheet_state = "hidden"
    sink = io.BytesIO()
    book.save(sink)

    document = read("a.xlsx", sink.getvalue())

    assert outline(document) == [("", "| Plan | Price |\n|---|---|\n| Basic | 5 |")]
    assert document.hidden.sample.startswith("Cost to us cost two Old plan 3")


def test_slides_are_sections():
    pptx = pytest.importorskip("pptx")
    show = pptx.Presentation()
    for title, text in (("Refunds", "Within 14 days"), ("Returns", "By post")):
        slide = show.slides.add_slide(show.slide_layouts[1])
        slide.shapes.title.text, slide.placeholders[1].text = title, text
    sink = io.BytesIO()
    show.save(sink)

    assert outline(read("a.pptx", sink.getvalue()))[1] == ("Returns", "- By post")


def test_hidden_slides_and_shapes_are_left_out_and_told_and_groups_are_read():
    pptx = pytest.importorskip("pptx")
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[1])
    slide.shapes.title.text, slide.placeholders[1].text = "Prices", "5 euros a month"
    group = slide.shapes.add_group_shape()
    for text, hidden in (("In a group", "0"), ("A hidden text box", "1")):
        box = group.shapes.add_textbox(0, 0, 100, 100)
        box.text_frame.text = text
        box._element.nvSpPr.cNvPr.set("hidden", hidden)
    slide = show.slides.add_slide(show.slide_layouts[1])
    slide.shapes.title.text = "The roadmap of next year"
    slide._element.set("show", "0")
    sink = io.BytesIO()
    show.save(sink)

    document = read("a.pptx", sink.getvalue())

    assert outline(document) == [("", "- 5 euros a month\n\n- In a group")]
    assert document.hidden.sample == "- A hidden text box The roadmap of next year"


def test_an_e_book_is_its_chapters():
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        '<dc:title>Handbook</dc:title></metadata><manifest><item id="a" href="a.xhtml"/></manifest>'
        '<spine><itemref idref="a"/></spine></package>'
    )
    files = {
        "META-INF/container.xml": '<container><rootfile full-path="OPS/p.opf"/></container>',
        "OPS/p.opf": package,
        "OPS/a.xhtml": "<html><body><h1>Refunds</h1><p>Within 14 days.</p></body></html>",
    }

    document = read("a.epub", zipped(**files))

    assert (document.title, outline(document)) == ("Handbook", [("Refunds", "Within 14 days.")])


def test_a_pdf_is_read_with_its_bookmarks():
    document = read("a.pdf", pdf("Within 14 days."))
    assert (document.title, outline(document)) == ("Refunds", [("When", "Within 14 days.")])


def test_letters_of_a_pdf_that_nobody_can_see_are_left_out_and_told():
    document = read("a.pdf", pdf("Within 14 days.", small="They are never paid."))
    assert outline(document) == [("When", "Within 14 days.")]
    assert document.hidden.sample == "They are never paid."


def test_a_pdf_of_pictures_is_rejected_with_what_to_do():
    assert "text recognition" in read("a.pdf", pdf("")).reason


@pytest.mark.parametrize("ending", sorted(office.OFFICE_ENDINGS))
def test_a_broken_file_is_rejected(ending):
    assert read(f"a{ending}", b"no such thing").reason.startswith("a binary file that can't be read as")


def test_without_the_extra_the_reject_names_it(monkeypatch):
    monkeypatch.setattr(office, "is_readable", lambda _: False)
    reject = read("a.pdf", b"%PDF-1.7")
    assert isinstance(reject, Reject)
    assert "install it" in reject.reason
    assert "office" in reject.reason


def pdf(text, small=""):
    """The smallest file with a page of text, a title and a bookmark."""
    pypdf = pytest.importorskip("pypdf")
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(200, 200)
    font = DictionaryObject(
        {NameObject("/Type"): NameObject("/Font"), NameObject("/Subtype"): NameObject("/Type1"),
         NameObject("/BaseFont"): NameObject("/Helvetica")}
    )  # fmt: skip
    page[NameObject("/Resources")] = DictionaryObject(
        {NameObject("/Font"): DictionaryObject({NameObject("/F1"): writer._add_object(font)})}
    )
    stream = DecodedStreamObject()
    stream.set_data(f"BT /F1 12 Tf 20 100 Td ({text}) Tj /F1 1 Tf 0 -20 Td ({small}) Tj ET".encode())
    page[NameObject("/Contents")] = writer._add_object(stream)
    writer.add_metadata({"/Title": "Refunds"})
    writer.add_outline_item("When", 0)
    sink = io.BytesIO()
    writer.write(sink)
    return sink.getvalue()


def test_documents_of_office_have_a_hash_like_others():
    first, again = read("a.pdf", pdf("Text.")), read("a.pdf", pdf("Text."))
    assert isinstance(first, Document)
    assert first.content_hash == again.content_hash
