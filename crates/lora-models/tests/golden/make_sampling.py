"""Writes sampling.json: logits before and after the logits processors of Hugging Face Transformers, and chat templates
with what Transformers renders from them.

    python make_sampling.py > sampling.json

Needs: torch, transformers (versions are recorded in the file).
"""
import json
import sys

import torch
import transformers
from transformers.generation.logits_process import (
    LogitsProcessorList, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)
from transformers.utils.chat_template_utils import render_jinja_template

torch.manual_seed(5)
VOCABULARY = 37

SETTINGS = [
    dict(temperature=1.0), dict(temperature=0.7), dict(temperature=1.0, top_k=5), dict(temperature=1.0, top_k=100),
    dict(temperature=1.0, top_p=0.9), dict(temperature=1.0, top_p=0.2), dict(temperature=1.3, top_k=9, top_p=0.8),
    dict(temperature=1.0, repetition_penalty=1.3), dict(temperature=0.8, top_k=12, top_p=0.95, repetition_penalty=1.1),
    dict(temperature=1.0, repetition_penalty=0.8, top_p=0.5),
]
cases = []
for settings in SETTINGS:
    logits = (3 * torch.randn(1, VOCABULARY)).round(decimals=3)
    history = torch.randint(0, VOCABULARY, (1, 11))
    steps = LogitsProcessorList()  # the order of GenerationMixin._get_logits_processor
    if "repetition_penalty" in settings:
        steps.append(RepetitionPenaltyLogitsProcessor(settings["repetition_penalty"]))
    if settings["temperature"] != 1.0:
        steps.append(TemperatureLogitsWarper(settings["temperature"]))
    if "top_k" in settings:
        steps.append(TopKLogitsWarper(settings["top_k"]))
    if "top_p" in settings:
        steps.append(TopPLogitsWarper(settings["top_p"]))
    processed = steps(history, logits.clone())[0]
    cases.append(dict(settings, logits=logits[0].tolist(), history=history[0].tolist(),
                      processed=[None if value == float("-inf") else value for value in processed.tolist()]))

TEMPLATES = {
    "turns": "{% for message in messages %}{{ '<' + message['role'] + '> ' + message['content'] + eos_token }}\n{% endfor %}"
             "{% if add_generation_prompt %}<assistant> {% endif %}",
    "blocks": """{% set ns = namespace(turns=0) %}
{%- if messages[0].role == 'system' %}
    {{- messages[0].content | trim + '\\n' }}
    {%- set rest = messages[1:] %}
{%- else %}
    {%- set rest = messages %}
{%- endif %}
{% for message in rest %}
    {% set ns.turns = ns.turns + 1 %}
{{ loop.index }}/{{ ns.turns }} {{ message.role.upper() }}: {{ message.content.strip() }}
{% endfor %}
{%- if rest[-1].role != 'assistant' and add_generation_prompt -%}
ANSWER:
{%- endif %}""",
    "methods": "{{ bos_token }}{% for message in messages %}{{ message.role.title() }}|{{ message.content.split(' ')[0] }}|"
               "{{ message.content.startswith('What') }}|{{ message.content.replace('o', '0').rstrip('?') }}|"
               "{% for key, value in message.items() %}{{ key }}={{ value | length }};{% endfor %}"
               "{{ message.get('name', 'nobody') }}|{{ message | tojson }}{% if not loop.last %}\n{% endif %}{% endfor %}",
    # What training tools and tool-calling templates use beyond plain Jinja: marks around answers, and loops that are left.
    "marks": """{% for message in messages %}
{% if message.role == 'assistant' %}
A: {% generation %}
{{ message.content }}{{ eos_token }}
{%- endgeneration %}

{% else %}
{{ message.role }}: {{ message.content }}
{% endif %}
{% endfor %}""",
    "loops": "{% for message in messages %}{% if message.role == 'system' %}{% continue %}{% endif %}"
             "{% if message.role == 'assistant' %}{% break %}{% endif %}{{ loop.index }}:{{ message.content }};{% endfor %}",
}
MESSAGES = [
    [dict(role="user", content="What is a low-rank update?")],
    [dict(role="system", content="  Be brief. "), dict(role="user", content=" Hello, \"world\" & all "),
     dict(role="assistant", content="Hi."), dict(role="user", content="What follows?")],
]
chats = []
for name, template in TEMPLATES.items():
    for messages in MESSAGES:
        for prompt in (False, True):
            (text,), _ = render_jinja_template([messages], chat_template=template, add_generation_prompt=prompt,
                                               bos_token="<s>", eos_token="</s>")
            chats.append(dict(name=name, template=template, messages=messages, add_generation_prompt=prompt, text=text))

json.dump(dict(transformers=transformers.__version__, torch=torch.__version__, cases=cases, chats=chats), sys.stdout, indent=1)
