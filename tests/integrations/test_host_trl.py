import pickle

import pytest
import torch
from conftest import BROKEN, JUDGE, text
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from glider.integrations.trl import GliderReward


@pytest.fixture(scope="module")
def tokenizer():
    words = ["<pad>", "<eos>", "<unk>", *map(str, range(40))]
    inner = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
    )


class Said(GliderReward):
    """Judges texts of ours in place of what the untrained model wrote; TRL does all else."""

    texts: list[str]

    def __call__(self, prompts, completions, **columns):
        return super().__call__(prompts, self.texts, **columns)


@pytest.fixture
def trained(tokenizer, tmp_path):
    """A step of GRPO on a tiny model."""

    def train(texts, *others, **more):
        torch.manual_seed(0)
        reward = Said("clarity", JUDGE)
        reward.texts = texts
        tiny = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=2,
            pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        )  # fmt: skip
        trainer = GRPOTrainer(
            model=LlamaForCausalLM(tiny),
            reward_funcs=[reward, *others],
            processing_class=tokenizer,
            train_dataset=Dataset.from_dict({"prompt": ["1"]}),
            args=GRPOConfig(
                output_dir=str(tmp_path), per_device_train_batch_size=len(texts),
                num_generations=len(texts), max_completion_length=4, max_steps=1, report_to=[],
                logging_steps=1, use_cpu=True, disable_tqdm=True, save_strategy="no", **more,
            ),
        )  # fmt: skip
        trainer.train()
        return trainer

    return train


def test_a_failure_is_no_number_and_the_failed_share_is_logged(asked, trained, shown):
    trainer = trained([text(5), BROKEN, text(3), BROKEN])
    logged = trainer.state.log_history[0]
    assert logged["rewards/glider_clarity/mean"] == 0.75
    assert logged["reward"] == 0.75
    assert logged["glider/clarity/failed"] == 0.5
    assert [trainer._logs["advantages"][n] for n in (1, 3)] == [0.0, 0.0]
    shown("failure", "None: left out of the mean, no gradient; beside other rewards see below")
    shown("coverage", "`glider/NAME/failed` in the logs")


def test_beside_another_reward_a_failure_is_neutral_only_under_normalize_then_sum(asked, trained):
    """What the page says of `sum_then_normalize`, measured: the failed completion ranks lowest."""

    def same(prompts, completions, **more):
        return [0.0] * len(prompts)

    seen = {}
    for how in ("sum_then_normalize", "normalize_then_sum"):
        trainer = trained(
            [text(5), BROKEN, text(3), text(4)], same, multi_objective_aggregation=how
        )
        seen[how] = list(trainer._logs["advantages"])
    assert min(seen["sum_then_normalize"]) == seen["sum_then_normalize"][1] < -1
    assert seen["normalize_then_sum"][1] == pytest.approx(0.0, abs=1e-6)


def test_a_batch_of_32_is_one_call_in_one_queue(gathering, shown):
    rewards = GliderReward("clarity", gathering)(["?"] * 32, [f"level {n}" for n in range(32)])
    assert rewards == [0.5] * 32
    shown("queue", "one call a batch")


def test_conversations_are_judged_by_their_last_turn_and_columns_are_fields(asked):
    reward = GliderReward("answer-correctness", JUDGE, maps={"reference": "answer"})
    prompts = [[{"role": "user", "content": "Which level?"}]] * 2
    said = [[{"role": "assistant", "content": each}] for each in (text(5), BROKEN)]
    notes = {}
    rewards = reward(
        prompts,
        said,
        answer=["5", "5"],
        completion_ids=[[1], [2]],
        trainer_state=None,
        log_extra=lambda name, values: notes.update({name: values}),
    )
    assert rewards == [1.0, None]
    assert notes["glider answer-correctness"][0] == "It says level 5. [level 5]"
    assert "not judged" in notes["glider answer-correctness"][1]
    assert pickle.loads(pickle.dumps(reward)).__name__ == "glider_answer-correctness"


def test_the_recipe_runs(recipe, shown):
    told, lines, seconds = recipe("TRL")
    assert 0 <= float(told.strip(" []\n")) <= 1
    shown("spans", "quoted in the completions table, without offsets")
    shown("recipe", f"{lines} lines, {seconds:.0f} s")
