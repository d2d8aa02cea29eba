"""A Bedrock Converse double on this machine, so that the agent has one client and no test branch.

::

    server     the double: over HTTP on a loopback address, or in the calling thread
    strict     a model behind Bedrock's checks and Bedrock's prompt cache
    rules      what Bedrock refuses: form, service_rules, and by a model's card card_rules, field_rules,
               schema_rules and cache_rules
    cache      the prompt cache and the usage that follows from it
    source     the interface of a model: a request in, a reply or a Bedrock error out
    script     replies written down in a file
    recorded   the completions of a run's log
    openai     a model of an OpenAI-compatible server (Ollama, llama.cpp, vLLM)
    choose     the values of ``--model``
"""

from localcloud.converse.cache import PromptCache
from localcloud.converse.choose import Bedrock, check_keys, check_that_it_answers, label_of, model_source
from localcloud.converse.openai import OpenAIModel
from localcloud.converse.recorded import RecordedModel
from localcloud.converse.script import ScriptModel
from localcloud.converse.server import ConverseServer
from localcloud.converse.source import CallableModel, ModelError, Reply, Source, said
from localcloud.converse.strict import Strict

__all__ = [
    "Bedrock",
    "CallableModel",
    "ConverseServer",
    "ModelError",
    "OpenAIModel",
    "PromptCache",
    "RecordedModel",
    "Reply",
    "ScriptModel",
    "Source",
    "Strict",
    "check_keys",
    "check_that_it_answers",
    "label_of",
    "model_source",
    "said",
]
