"""Tiny models of real architectures with a tokenizer of their own, and examples in our format."""

import gzip
import json

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WORDS = "Judge the text output Score: 1 2 3 4 5 Quotes: none Reason: clear and short system user assistant good bad "


def make_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokens.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokens.train_from_iterator([WORDS * 20], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokens, eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )
    fast.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    fast.chat_template = TEMPLATE
    return fast


def build(folder, architecture="llama", *, layers=2, seed=0):
    """A random model of a real architecture in a folder, as one downloads it."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, Phi3Config

    tokenizer = make_tokenizer()
    shape = dict(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        bos_token_id=None,
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        pad_token_id=0,
    )
    torch.manual_seed(seed)
    if architecture == "phi3":
        config = Phi3Config(**shape, tie_word_embeddings=False)
    elif architecture == "llama3":
        rope = {
            "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 256,
        }  # fmt: skip
        config = LlamaConfig(**shape, tie_word_embeddings=False, rope_parameters=rope)
    else:
        config = LlamaConfig(**shape, tie_word_embeddings=True)
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def example(n=0, score=4, *, text="a short text", completion=None, whole=False, **changes):
    """One example as `glider data` writes it."""
    return {
        "version": 1, "id": f"e{n}", "set": "toy", "part": "", "cluster": str(n), "lang": "en",
        "licence": "CC0", "criterion": "c",
        "messages": [
            {"role": "system", "content": "Judge."},
            {"role": "user", "content": f"Judge the text.\n{text}"},
        ],
        "opening": "Score: ", "completion": str(score) if completion is None else completion,
        "whole": whole, "labels": ["1", "2", "3", "4", "5"], "after": "Score: ", "soft": None,
        "weight": 1.0, "score": score, **changes,
    }  # fmt: skip


def preference(n=0, chosen="4", rejected="1", **changes):
    plain = example(n, **changes)
    for key in ("completion", "whole", "soft"):
        del plain[key]
    return {**plain, "chosen": chosen, "rejected": rejected}


def write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


WORDS_OF = {1: "awful", 2: "poor", 3: "plain", 4: "good", 5: "superb"}


def toy(n, start=0):
    """Texts whose score is a word in them: what a small model can learn."""
    made = []
    for index in range(start, start + n):
        score = index % 5 + 1
        text = f"{'so ' * (index % 7)}{WORDS_OF[score]} number {index}"
        made.append(example(index, score, text=text))
    return made


def recipe_of(base, *, kind="sft", lora=None, **stage):
    """A recipe for tests: small numbers, fp32, so that curves can be compared."""
    from glider.training.recipe import parse_recipe

    top = {key: stage.pop(key) for key in ("frozen_layers", "processes", "start", "max_tokens",
           "precision", "seed") if key in stage}  # fmt: skip
    one = {
        "kind": kind, "learning_rate": 1e-3, "batch": 8, "batch_tokens": 512, "warmup": 0.1,
        "evaluate": {"every": 3, "examples": 40}, "checkpoint": {"every": 2, "keep": 2}, **stage,
    }  # fmt: skip
    return parse_recipe(
        {
            "name": "toy",
            "base": str(base),
            "precision": "fp32",
            "threads": 1,
            "lora": lora,
            **top,
            "stages": [one],
        }
    )


def shrunk(name, base, **changes):
    """A shipped recipe with both its stages, on a tiny model: numbers that few examples need.

    In fp32 and without dropout, so that curves can be compared; `changes` are further settings.
    """
    from glider.training.recipe import load_recipe

    settings = {"base": base, "precision": "fp32", "threads": 1, "processes": 1}
    if load_recipe(name).lora is not None:
        settings["lora.dropout"] = 0
    for stage, epochs in enumerate((2, 3)):
        few = {"epochs": epochs, "batch": 8, "batch_tokens": 256, "learning_rate": 3e-3,
               "evaluate.every": 3, "checkpoint.every": 3, "checkpoint.keep": 9}  # fmt: skip
        settings |= {f"stages.{stage}.{key}": value for key, value in few.items()}
    settings |= changes
    return load_recipe(name, [f"{key}={value}" for key, value in settings.items()])
