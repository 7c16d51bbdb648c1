"""Writes chat/: for chat templates in the forms of the families that are read, what Transformers makes of a question and its answer.

    python make_chat.py            # writes chat/ beside this file

    chat/bytes.json, chat/words.json    tokenizers: bytes with the special tokens, and one that marks the beginnings of words
    chat/turns.json                     versions; for each case the template, the question, the answer, the ids of
                                        `apply_chat_template` for the prompt and for the whole conversation, and the end token

Needs: torch, transformers, tokenizers (versions are recorded in the file). The templates are our own; their forms are those that
the families were trained with.
"""
import json
import os

import tokenizers
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "chat")
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|begin|>", "<|start_header|>", "<|end_header|>", "<|eot|>", "<|text_end|>",
           "<|user|>", "<|assistant|>", "<|end|>"]
CHATML = """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"""
START = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
TEMPLATES = {
    # Qwen2, SmolLM2: a system message of its own where there is none.
    "chatml": "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nBe brief.<|im_end|>\\n' }}{% endif %}" + CHATML + START,
    # Qwen3: an empty thought before the last answer.
    "thoughts": """{%- for message in messages %}
    {%- if message.role == 'assistant' and loop.last %}
        {{- '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' + message.content.lstrip('\\n') + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}""",
    # LLaMA 3: the end of a turn is not the end of a text.
    "headers": "{{ bos_token }}{% for message in messages %}{{ '<|start_header|>' + message['role'] + '<|end_header|>\\n\\n' + "
               "message['content'] | trim + '<|eot|>' }}{% endfor %}{% if add_generation_prompt %}"
               "{{ '<|start_header|>assistant<|end_header|>\\n\\n' }}{% endif %}",
    # LLaMA 2: spaces around trimmed answers, and no beginning of an answer.
    "brackets": "{% for message in messages %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + message['content'].strip() + "
                "' [/INST]' }}{% else %}{{ ' ' + message['content'].strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    # Mistral: no space before the end.
    "tight_brackets": "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + "
                      "' [/INST]' }}{% else %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}",
    # Zephyr, TinyLlama: the end of a text and a new line.
    "lines": "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}{% endfor %}"
             "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}",
    # GPT-2 for dialogues: nothing but ends of text.
    "bare": "{% for message in messages %}{{ message.content }}{{ eos_token }}{% endfor %}",
    # A prompt that begins the answer otherwise than a whole conversation has it.
    "thinking_prompt": CHATML + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}",
    # No special token after an answer: the end of a text is all there is.
    "plain": "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}{% endfor %}"
             "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}",
}
END = {"chatml": "<|im_end|>", "thoughts": "<|im_end|>", "headers": "<|eot|>", "brackets": "</s>", "tight_brackets": "</s>",
       "lines": "</s>", "bare": "</s>", "thinking_prompt": "<|im_end|>", "plain": None}
QUESTION, ANSWER = "Name a river, please. ", "The Elbe <3"


def bytes_tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def words_tokenizer():
    """Like LLaMA 2's: `▁` before words, and before the text."""
    letters = sorted(set(QUESTION + ANSWER + "INST[]/:|<>systemuserassistantBe brief.\nthink"))
    pieces = [("<unk>", 0.0), ("▁", -2.0), ("▁The", -3.0), ("▁River", -3.0), ("Name", -4.0)]
    pieces += [(letter, -6.0) for letter in letters if letter != " "]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first", split=False)
    return tokenizer


def ids(found):
    return list(found["input_ids"]) if hasattr(found, "keys") else list(found)


def case(file, tokenizer, name):
    template = TEMPLATES[name]
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", chat_template=template)
    chat = [{"role": "user", "content": QUESTION}]
    answered = [*chat, {"role": "assistant", "content": ANSWER}]
    prompt = ids(fast.apply_chat_template(chat, add_generation_prompt=True))
    whole = ids(fast.apply_chat_template(answered))
    end = END[name] and fast.convert_tokens_to_ids(END[name])
    if end is not None:
        whole = whole[: len(whole) - whole[::-1].index(end)]
    return dict(name=name, tokenizer=file, template=template, prompt=prompt, whole=whole, end=end)


os.makedirs(HERE, exist_ok=True)
cases = []
for file, tokenizer in (("bytes.json", bytes_tokenizer()), ("words.json", words_tokenizer())):
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.save(os.path.join(HERE, file))
    cases += [case(file, tokenizer, name) for name in TEMPLATES]
with open(os.path.join(HERE, "turns.json"), "w") as file:
    versions = dict(transformers=transformers.__version__, tokenizers=tokenizers.__version__)
    json.dump({**versions, "question": QUESTION, "answer": ANSWER, "cases": cases}, file, indent=1)
    file.write("\n")
