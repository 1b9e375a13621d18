"""Pictures and files of buyers: which values are taken, and where they stand in the messages."""

import base64
from typing import Any

import pytest

from core.failures import InvalidInput
from core.resources import attachments, call_cost, template
from core.resources import draft as drafts
from core.resources.parameters import Parameter
from core.settings import settings
from tests.files import FILES, PDF, data_url
from tests.selling import content, model

LIMITS = {"value_limit": 100, "inputs_limit": 100, "file_limit": 4096}
READER: dict[str, Any] = {"input_modalities": ["text", "image", "file"]}


def refusal(value: object, kind: str = "image", **limits: Any) -> str | None:
    """Why a buyer's value is refused; None if it is taken."""
    photo = Parameter.model_validate({"name": "photo", "type": kind} | limits)
    try:
        valid = template.validate_inputs({"photo": value}, [photo], allows_user_message=False, **LIMITS)
    except InvalidInput as refused:
        (sentence,) = refused.fields.values()
        # No sentence repeats the value.
        assert not isinstance(value, str) or len(value) < 9 or value not in sentence
        return sentence.removeprefix("Parameter 'photo' ")
    assert valid == ({"photo": value} if value else {})
    return None


def draft(*kinds: str, **changes: object) -> drafts.Draft:
    """A prompt that takes these."""
    parameters = [{"name": f"p{number}", "type": kind} for number, kind in enumerate(kinds)]
    return drafts.read(content(template="Compare {p0}{/p0}.", parameters=parameters) | changes)


PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif")


@pytest.mark.parametrize("kind", PICTURES)
def test_real_pictures_are_taken(kind: str) -> None:
    """Each documented type passes whole, and is refused cut, under another name, or as a file."""
    whole, other = FILES[kind], "image/png" if kind == "image/gif" else "image/gif"

    assert refusal(data_url(kind, whole)) is None
    assert refusal(data_url(kind, whole[: len(whole) // 2])) == f"is no whole file of the type {kind}"
    assert refusal(data_url(other, whole)) == f"is no whole file of the type {other}"
    assert (
        refusal(data_url(kind, whole), "file")
        == "must be an https:// address, or a data: URL in base64 of application/pdf"
    )


def test_documents_are_taken() -> None:
    """A PDF is a file and no picture; half of one is neither."""
    assert refusal(data_url("application/pdf", PDF), "file") is None
    assert refusal(data_url("application/pdf", PDF[:-6]), "file") == "is no whole file of the type application/pdf"
    assert refusal(data_url("application/pdf", b" " + PDF), "file") == "is no whole file of the type application/pdf"
    assert "must be an https:// address" in (refusal(data_url("application/pdf", PDF)) or "")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.png",
        "https://images.example.org:443/a%20b?size=large&x=[1]",
        "https://EXAMPLE.org./a",
        "https://xn--bcher-kva.example/",
        "https://example.org/" + "a" * (attachments.URL_LIMIT - 20),
    ],
)
@pytest.mark.parametrize("kind", ["image", "file"])
def test_addresses_of_the_internet_are_taken(url: str, kind: str) -> None:
    """The provider fetches them; we only look at their form."""
    assert refusal(url, kind) is None


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://example.org/a.png",
            "ftp://example.org/a",
            "//example.org/a",
            "file:///etc/passwd",
            "example.org",
            "HTTPS://",
        ),
        *(
            "https://",
            "https:///a",
            "https://exa mple.org/",
            "https://example.org/\n",
            "https://bücher.example/",
            "https://a.b/#c",
        ),
        *(
            "https://user@example.org/",
            "https://user:practice@example.org/",
            "https://@example.org/",
            "https://a.b\\@example.org/",
        ),
        *(
            "https://127.0.0.1/",
            "https://10.0.0.8/a",
            "https://169.254.169.254/latest",
            "https://192.168.1.1:8443/",
            "https://images.example.org:8443/",
            "https://images.example.org:22/",
            "https://8.8.8.8/",
        ),
        *(
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[fd00::1]/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.1/",
        ),
        *(
            "https://localhost/",
            "https://a.localhost/",
            "https://localhost./",
            "https://printer.local/",
            "https://db.internal/",
        ),
        *("https://intranet/", "https://router.home.arpa/", "https://example.org:0/", "https://example.org:99999/"),
        "https://example.org/" + "a" * (attachments.URL_LIMIT - 19),
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    """Another scheme, credentials, addresses by number, and names of inner networks."""
    assert refusal(url) is not None


@pytest.mark.parametrize(
    "value",
    [
        *(
            "data:image/png;base64,",
            "data:image/png,abc",
            "data:image/svg+xml;base64,PHN2Zy8+",
            "data:;base64,aGk=",
            "data:",
        ),
        *(
            "data:image/png;charset=x;base64,aGk=",
            "data:image/png;base64,aGk",
            "data:image/png;base64,aG k=",
            "iVBORw0KGgo=",
        ),
        *(
            "data:image/png;base64,aGk=\n",
            "data:image/png;base64,aGk=aGk=",
            "data:image/png;base64,a_-=",
            "data:image/png;base64,é",
        ),
        *(7, None, ["https://example.org/a.png"], {"url": "https://example.org/a.png"}, "data:image/jpg;base64,/9j/"),
    ],
)
def test_what_is_no_data_url_is_refused(value: object) -> None:
    """The form is the documented one, to the letter, and so is base64."""
    assert refusal(value) is not None


def test_sizes_have_bounds() -> None:
    """A parameter's own bound and the operator's count, on the decoded bytes; and text has bounds of its own."""
    png = FILES["image/png"]
    padded = data_url("image/gif", FILES["image/gif"][:-1] + b"\0" * 4096 + b";")

    assert refusal(data_url("image/png", png), max_bytes=len(png)) is None
    assert refusal(data_url("image/png", png), max_bytes=len(png) - 1) == f"is larger than {len(png) - 1} bytes"
    assert refusal(padded) == "is larger than 4096 bytes"
    photo, words = Parameter(name="photo", type="image"), Parameter(name="words")
    both = {"photo": data_url("image/png", png), "words": "x" * 100}
    assert template.validate_inputs(both, [photo, words], allows_user_message=False, **LIMITS) == both


@pytest.mark.parametrize(
    "parameter",
    [
        *({"type": "image", "default": "https://example.org/a"}, {"type": "file", "max_length": 9}, {"max_bytes": 9}),
        *({"type": "image", "max_bytes": 0}, {"type": "image", "max_bytes": 2**40}, {"type": "sound"}),
    ],
)
def test_a_draft_says_what_fits_its_type(parameter: dict[str, object]) -> None:
    """Defaults and lengths belong to text, bytes to pictures and files, up to what the operator takes."""
    with pytest.raises(InvalidInput):
        drafts.read(content(parameters=[{"name": "topic"} | parameter]))


def test_all_files_together_have_a_bound() -> None:
    """A body of many pictures is never larger than the documented bound, whatever each may have."""
    fits = attachments.BYTES_LIMIT // settings().file_limit
    assert draft(*["image"] * fits)
    with pytest.raises(InvalidInput) as refused:
        draft(*["image"] * (fits + 1))
    assert "lower their max_bytes" in refused.value.fields["parameters"]


def test_a_picture_stands_in_the_user_turn() -> None:
    """Its tag is a marker in words; picture and file follow the buyer's message, each behind its marker."""
    photo, paper = Parameter(name="photo", type="image"), Parameter(name="paper", type="file", required=False)
    text = "Look at {photo}{/photo}, not at {paper}{/paper}."
    inputs = {"photo": "https://example.org/a.png", "paper": "https://example.org/a.pdf", "user_message": "Well?"}

    system, user = template.messages(text, [paper, photo], inputs)
    assert system == {"role": "system", "content": "Look at [image: photo], not at [file: paper]."}
    assert user["content"] == [
        {"type": "text", "text": "Well?"},
        {"type": "text", "text": "[file: paper]"},
        {"type": "file", "file": {"filename": "paper.pdf", "file_data": inputs["paper"]}},
        {"type": "text", "text": "[image: photo]"},
        {"type": "image_url", "image_url": {"url": inputs["photo"]}},
    ]
    system, user = template.messages(text, [paper, photo], {})
    assert (system["content"], user["content"]) == ("Look at , not at .", template.NO_USER_MESSAGE)


def test_a_model_must_read_what_is_sent() -> None:
    """Publishing names each parameter that the model does not take, or whose price nobody knows."""
    wanted = draft("image", "file")
    call_cost.refuse_unsupported(wanted, model(**READER))

    for changes, fields in (
        ({"input_modalities": ["text", "image"]}, ["parameters.1.type"]),
        ({"input_modalities": ["text"]}, ["parameters.0.type", "parameters.1.type"]),
        (READER | {"context_length": None}, ["parameters.1.type"]),
        (READER | {"prices": {"image": None}}, ["parameters.0.type"]),
    ):
        with pytest.raises(InvalidInput) as refused:
            call_cost.refuse_unsupported(wanted, model(**changes))
        assert list(refused.value.fields) == fields


def test_base64_is_exact() -> None:
    """What is sent on is what was checked: no second spelling of the same bytes."""
    whole = base64.b64encode(FILES["image/png"]).decode()

    assert refusal(f"data:image/png;base64,{whole}") is None
    assert refusal(f"data:image/png;base64,{whole}====") is not None
