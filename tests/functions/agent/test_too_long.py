"""A conversation that is too long for the model is told from every other refusal, in each provider's words."""

import pytest

from functions.agent.converse import is_context_too_long

TOO_LONG = [
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "Requested tokens (9000) exceed context window of 8192",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "Please reduce the length of the messages or completion.",
    "too many tokens: total number of tokens in the prompt cannot exceed 4081",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    (
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens. "
        "Please reduce the length of the messages."
    ),
    "Malformed input request: expected maxLength: 200000, actual: 300000, please reformat your input and try again.",
    "Prompt contains 70000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "The decoder prompt (length 5000) is longer than the maximum model length of 4096",
    (
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` "
        "tokens and 100 `max_new_tokens`"
    ),
    "Invalid request: Your request exceeded model token limit: 8192",
    "invalid params, context window exceeds limit (2013)",
    "Prompt exceeds max length",
    (
        "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with "
        "context length of only 4096 tokens"
    ),
    "total tokens (210000) exceed the model's limit of 200000",
    "Input is longer than the maximum allowed tokens",
    "Token limit exceeded: the request has 210000 tokens, the model takes 200000",
    "exceeded model's context limit",
    "string too long. Expected a string with maximum length 1048576, but got a string with length 1200000 instead.",
    "Input is too long for requested model.",
    "Input Tokens Exceeded: Number of input tokens exceeds maximum length.",
    "prompt is too long: 210000 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 195000 + 8192 > 200000",
    "This model's maximum context length is 131072 tokens. However, you requested 140000 tokens.",
    "The model returned the following errors: Input is too long.",
    "Too many input tokens. Max input tokens: 8192, request input token count: 9000",
    "context_length_exceeded",
    "The request exceeds the available context size (4096 tokens)",
    "The conversation is too long",
    "litellm.ContextWindowExceededError: OpenAIException",
    "error code: context_window_exceeded",
    "Number of tokens in the prompt exceeds the limit of 8000.",
    "The prompt has 9000 tokens, more than the 8192 that the model allows",
    "Your messages exceed the maximum number of tokens",
    "exceed_context_size_error: request (9000 tokens) is larger than n_ctx",
    "the request (5000 tokens) exceeds the available context size (4096), try increasing it",
    "Range of input length should be [1, 98304]",
    (
        "Invalid 'messages[1].content': string too long. Expected a string with maximum length 1048576, but "
        "got a string with length 1200000 instead."
    ),
    "total number of tokens (prompt + max_tokens) exceeds 8192",
    "Prompt tokens: 9000 > limit 8192: the prompt is larger than the model allows in tokens",
    "The sequence length exceeds the model's maximum",
    "Token indices sequence length is longer than the specified maximum sequence length for this model (9000 > 512)",
    "The input is too large for this model",
    "prompt token count of 200000 exceeds the limit of 128000",
    "inputs must have less than 4096 tokens. Given: 5000",
    "Conversation history is larger than the allowed context window",
    (
        "You passed 9000 input tokens and requested 100 output tokens. However, the model's context length "
        "is only 8192 tokens, resulting in a maximum input length of 8092 tokens."
    ),
    "The sum of input tokens and max_tokens exceeds the model's limit",
    "`inputs` must have less than 4096 tokens. Given: 5000",
    "Error code 400: {'type': 'exceed_context_size_error', 'n_prompt_tokens': 9000}",
    "your prompt has too many tokens",
    "The total length of the input exceeds what the model takes in tokens",
    "Prompt too long; exceeded max context length by 10 tokens",
    "Le contexte: context length exceeded",
]
OTHERWISE = [
    "The stop sequence length exceeds the limit of 64",
    "tools: too many input tools; the maximum is 128",
    "image exceeds the maximum input size of 5 MB",
    "max_tokens must be at most the context length minus the prompt",
    (
        "The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens "
        "value that is lower than 4096 that conforms to the model limit"
    ),
    "Your request was blocked: the prompt exceeds the limit of allowed attempts",
    "The tool input schema size exceeds the limit",
    "messages: roles must alternate; the messages are not too large",
    "toolConfig.tools.0.toolSpec.description: the value's length exceeds the input limit",
    "The provided model identifier is invalid.",
    "Malformed input request: #: extraneous key [top_k] is not permitted, please reformat your input.",
    "temperature: range: 0..1",
    "The tool name is too long",
    "max_tokens: 9000 > 8192, which is the maximum allowed number of output tokens",
    "",
    "max_tokens exceeds the model's maximum of 4096 tokens",
    "The number of output tokens requested (9000) exceeds the limit of 8192",
    "Malformed input request: #/stop_sequences/0: expected maxLength: 2500, actual: 3000",
    (
        "Invalid 'tools[0].function.description': string too long. Expected a string with maximum length "
        "10240, but got a string with length 12000 instead."
    ),
    "Invalid 'metadata': string too long. Expected a string with maximum length 512",
    "The security token included in the request exceeds its lifetime",
    "messages.0.content.1.image.source: image exceeds 5 MB maximum: 6 MB > 5 MB",
    "You exceeded your current quota of tokens per day",
    "The number of tools exceeds the maximum of 128",
    "The document in the request is too large",
    "request header is too large",
    "Your request exceeds the allowed number of concurrent requests",
    "prompt caching: cache points exceed the maximum of 4",
    "Too many messages in the batch",
    "inferenceConfig.stopSequences: list is longer than 4",
    "The tool input exceeds the maximum length",
    "the name of the tool is longer than 64 characters",
    "The prompt variables exceed the maximum number of 20",
    "context: unknown field",
    "The request was rejected: message content exceeds policy limits",
    "system: text content blocks must be non-empty",
    "requestMetadata: value length is larger than 256",
    "Your input contains more than one system message",
    "additionalModelRequestFields.thinking.budget_tokens: must be larger than 1024 tokens",
    "thinking.budget_tokens must be greater than or equal to 1024",
    "max_tokens must be greater than thinking.budget_tokens",
    "The messages must contain more than one token",
    "max_tokens is too large: 5000. This model supports at most 4096 completion tokens, whereas you provided 5000.",
    "The access token exceeds the maximum length",
    "Your API key is over the limit",
    "The file exceeds the maximum size",
    "The prompt has an invalid character",
    "messages: at least one message is required",
    "messages.3.content.0.tool_result: content is too large",
    "The model is larger than this endpoint can serve",
]


@pytest.mark.parametrize("message", TOO_LONG)
def test_it_is_told_by_its_words(message: str) -> None:
    assert is_context_too_long("ValidationException", message)
    assert is_context_too_long("ValidationException", f"The model returned the following errors: {message}")


@pytest.mark.parametrize("message", OTHERWISE)
def test_what_is_about_a_part_or_about_something_else_is_not(message: str) -> None:
    assert not is_context_too_long("ValidationException", message)


@pytest.mark.parametrize(
    "code", ["context_length_exceeded", "ContextWindowExceededError", "string_above_max_length", "prompt_too_long"]
)
def test_a_providers_own_code_is_believed_whatever_the_words(code: str) -> None:
    assert is_context_too_long(code, "Bad request.")
    assert is_context_too_long("ValidationException", f"400: {{'code': '{code}', 'message': 'Bad request.'}}")


def test_a_long_text_is_read_at_once() -> None:
    for piece in ("prompt ", "token ", "a.b[0]/", "context too ", "exceed "):
        assert is_context_too_long("ValidationException", piece * 100_000) in (True, False)
