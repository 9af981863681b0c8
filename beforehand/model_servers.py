"""What the servers of the language model are asked before anything is loaded: is the key right, is the model theirs?

The list of models costs nothing, but not every server keeps one, and some know more names than they list (an alias, an
adapter, `latest`). So a name that is not listed is refused only if the server refuses a chat of one word as well. A
server that is away is no mistake: it may be back when its turn comes, or not be needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar

from beforehand.configuration import Settings
from beforehand.model_names import served_name
from rag.credentials import SecretAddress
from rag.errors import ConfigurationError, LlmError, LlmMisconfiguredError, LlmUnavailableError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from rag.llm.openai_batches import OpenAIBatches

T = TypeVar("T")
_SECONDS = 3.0  # a server that takes longer is asked when its turn comes
_NAMED = 3  # models that a sentence names


@dataclass(frozen=True)
class _Server:
    """A server of a model; `setting` is what names the model in the configuration, `model` its name at the server."""

    setting: str
    address: SecretAddress
    model: str
    key: SecretStr | None


def refuse_servers(settings: Settings) -> None:
    """Raise if the servers that are to generate answers can't, as far as that is known before anything is loaded.

    Raises:
        ConfigurationError: several servers are named for a Batch API.
        LlmMisconfiguredError: a server rejects the key, or doesn't serve the model.
        LlmError: the server has no Batch API where one is wanted, or can't be reached.
    """
    if settings.llm.mode == "none":
        return
    addresses = _addresses(settings)
    if settings.batch.generate_with == "batch_api":
        _refuse_batches(settings, addresses)
    if settings.batch.generate_with in ("batch_api", "endpoints"):
        _refuse(_of_llm(settings, addresses))


def refuse_judge(settings: Settings) -> None:
    """Raise if the server of the judge, where there is one, rejects its key or doesn't serve its model.

    Raises:
        LlmMisconfiguredError: it does.
    """
    judge = settings.evaluation
    if judge.judge_endpoint is not None and judge.judge_model is not None:
        name = served_name(settings, judge.judge_model)
        _refuse([_Server("[evaluation] judge_model", judge.judge_endpoint, name, judge.judge_api_key)])


def service_warning(settings: Settings) -> str | None:
    """Return why the service's server can give no live answers, in a sentence; None if it may."""
    try:
        _refuse(_of_llm(settings, [settings.llm.endpoint]))
    except LlmError as error:
        return str(error)
    return None


def _of_llm(settings: Settings, addresses: Sequence[SecretAddress]) -> list[_Server]:
    name = served_name(settings, settings.llm.model)
    return [_Server("[llm] model", address, name, settings.llm.api_key) for address in addresses]


def _refuse_batches(settings: Settings, addresses: Sequence[SecretAddress]) -> None:
    if len(addresses) > 1:
        raise ConfigurationError(
            f'[batch] endpoints names {len(addresses)} servers, but generate_with = "batch_api" has the batches of '
            "one; name that one"
        )
    asyncio.run(ask_batches(settings, lambda client: client.check()))


async def ask_batches(settings: Settings, call: Callable[[OpenAIBatches], Awaitable[T]]) -> T:
    """Make a call to the server that generates by its Batch API."""
    from rag.llm.openai_batches import OpenAIBatches

    address = _addresses(settings)[0].get_secret_value()
    key = settings.llm.api_key.get_secret_value() if settings.llm.api_key else None
    async with aclosing(OpenAIBatches(address, key, settings.llm.timeout_seconds)) as client:
        return await call(client)


def _addresses(settings: Settings) -> Sequence[SecretAddress]:
    return settings.batch.endpoints or [settings.llm.endpoint]


def _refuse(servers: Sequence[_Server]) -> None:
    """Ask all servers at once; raise what is wrong with the first that can't be used."""
    for failure in asyncio.run(_asked(servers)):
        if failure is not None:
            raise failure


async def _asked(servers: Sequence[_Server]) -> list[BaseException | None]:
    return await asyncio.gather(*map(_ask, servers), return_exceptions=True)


async def _ask(server: _Server) -> None:
    from rag.llm.openai_client import OpenAIEndpoint
    from rag.llm.protocol import Message, Sampling

    key = server.key.get_secret_value() if server.key else None
    async with aclosing(OpenAIEndpoint(server.address.get_secret_value(), server.model, key, _SECONDS)) as endpoint:
        listed = await endpoint.listed_models()
        if not listed or server.model in listed:
            return
        try:
            async with asyncio.timeout(_SECONDS):
                await endpoint.complete([Message("user", "Say yes.")], Sampling(max_tokens=1))
        except (LlmUnavailableError, TimeoutError):
            return
        except LlmError:
            raise LlmMisconfiguredError(
                f"{server.setting}: the server at {server.address} has {_some(listed, server.model)}, not "
                f'"{server.model}"; correct the name, or start the server with that model'
            ) from None


def _some(names: Collection[str], wanted: str) -> str:
    """Return some names in words, those first that are like the one that is wanted."""
    like = get_close_matches(wanted, names, _NAMED)
    shown = [*like, *sorted(set(names) - set(like))][:_NAMED]
    more = f" and {len(names) - len(shown):,} more" if len(names) > len(shown) else ""
    return ", ".join(f'"{name}"' for name in shown) + more
