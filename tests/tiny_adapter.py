"""A tiny LoRA adapter for the example's language model, made of numbers: it answers otherwise than the model alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

RANK = 4


def write_adapter(folder: Path, model: Path, scale: float = 1.0) -> Path:
    """Write an adapter of the last layer's queries and values for a Llama-like model."""
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    values = hidden // heads * config["num_key_value_heads"]
    layer = f"base_model.model.model.layers.{config['num_hidden_layers'] - 1}.self_attn"
    random = np.random.default_rng(7)
    tensors = {}
    for name, out in (("q_proj", hidden), ("v_proj", values)):
        tensors[f"{layer}.{name}.lora_A.weight"] = random.normal(size=(RANK, hidden)).astype(np.float32)
        tensors[f"{layer}.{name}.lora_B.weight"] = (scale * random.normal(size=(out, RANK))).astype(np.float32)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    described = {
        "peft_type": "LORA",
        "r": RANK,
        "lora_alpha": RANK,
        "target_modules": ["q_proj", "v_proj"],
        "base_model_name_or_path": model.name,
        "bias": "none",
        "task_type": "CAUSAL_LM",
    }
    (folder / "adapter_config.json").write_text(json.dumps(described), encoding="utf-8")
    return folder
