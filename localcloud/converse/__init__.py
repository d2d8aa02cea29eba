"""A Bedrock Converse endpoint on this machine, so that the planner has one client and no test branch.

::

    server     HTTP in Converse's wire format, on a loopback address
    source     what a model is here: a request in, a reply or an error of Bedrock out
    script     replies written down in a file
    recorded   the completions of a run's log
    openai     an OpenAI-compatible server behind it (Ollama, llama.cpp, vLLM)
    choose     the values of ``--model``
"""

from localcloud.converse.choose import Bedrock, check_that_it_answers, model_source
from localcloud.converse.openai import OpenAIModel
from localcloud.converse.recorded import RecordedModel
from localcloud.converse.script import ScriptModel
from localcloud.converse.server import ConverseServer
from localcloud.converse.source import CallableModel, ModelError, Reply, Source, said

__all__ = [
    "Bedrock",
    "CallableModel",
    "ConverseServer",
    "ModelError",
    "OpenAIModel",
    "RecordedModel",
    "Reply",
    "ScriptModel",
    "Source",
    "check_that_it_answers",
    "model_source",
    "said",
]
