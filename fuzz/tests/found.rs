//! What readers were wrong about, each by its name.

use std::fmt::Write as _;
use std::panic::{self, AssertUnwindSafe};

use lora_fuzz::{READERS, adapters, documents, models, rows};

/// Most bytes that a reader holds at once.
fn most_memory(read: fn(&[u8]), bytes: &[u8]) -> u64 {
    let mut outcome = Ok(());
    let measured = allocation_counter::measure(|| {
        outcome = panic::catch_unwind(AssertUnwindSafe(|| read(bytes)));
    });
    assert!(outcome.is_ok(), "the reader panics");
    measured.bytes_max
}

const MIB: u64 = 1 << 20;

fn safetensors(header: &str) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes
}

#[test]
fn a_tensor_without_numbers_may_claim_an_axis_of_any_size() {
    for shape in ["[0, 18446744073709551615]", "[0, 4611686018427387905, 3]"] {
        let header = format!(r#"{{"a": {{"dtype": "F32", "shape": {shape}, "data_offsets": [0, 0]}}}}"#);
        models::safetensors(&safetensors(&header));
    }
}

/// A file of `torch.save` before 1.6, whose table is this pickle.
fn stream(table: &[u8]) -> Vec<u8> {
    // Any magic number, version 1001, no words on the system, and after the table no storages.
    [b"N.", &b"M\xe9\x03."[..], b"N.", table, b"]."].concat()
}

#[test]
fn calls_on_a_long_list_do_not_copy_it() {
    let mut table = b"](".to_vec();
    table.extend(vec![b'N'; 100_000]);
    table.extend(b"e\x85q\x00"); // a tuple with the list, which the pickle remembers
    table.extend(b"ctorch._utils\n_rebuild_parameter\nq\x01");
    for _ in 0..20_000 {
        table.extend(b"h\x01h\x00R");
    }
    table.push(b'.');
    let held = most_memory(models::pytorch_model, &stream(&table));
    assert!(held < 64 * MIB, "{held}");
}

#[test]
fn a_tensor_has_no_more_axes_than_pytorch_computes_with() {
    let mut table = b"(".to_vec();
    for _ in 0..100_000 {
        table.extend(b"K\x01");
    }
    table.extend(b"tq\x00"); // a shape, which the pickle remembers
    table.extend(b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000NNtQq\x01"); // a storage
    table.extend(b"ctorch._utils\n_rebuild_tensor_v2\nq\x02");
    for _ in 0..10_000 {
        table.extend(b"h\x02(h\x01K\x00h\x00h\x00tR");
    }
    table.push(b'.');
    let held = most_memory(models::pytorch_model, &stream(&table));
    assert!(held < 64 * MIB, "{held}");
}

#[test]
fn a_chat_template_ends_and_takes_little_memory_whatever_it_multiplies() {
    let doubled = "{% set all = namespace(x='0123456789') %}{% for i in range(60) %}{% set all.x = all.x ~ all.x %}{% endfor %}";
    let nested = "{% set all = namespace(x='a') %}{% for i in range(40) %}{% set all.x = [all.x, all.x] %}{% endfor %}{{ all.x }}";
    for template in [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% for a in range(100000) %}{{ messages[0].content }}{{ 'x' * 1000 }}{% endfor %}",
        doubled,
        "{% set a = 'x' * 1000000 %}{{ a.replace('', a) | length }}",
        "{% set a = 'x' * 10000000 %}{{ a.split('') | length }}",
        "{% set a = 'x' * 1000000 %}{{ ([a] * 100000) | tojson }}",
        "{% set a = 'x' * 1000000 %}{{ [a] * 100000 }}",
        "{% set a = 'x' * 1000000 %}{{ ([a] * 100000) | join }}",
        nested,
        "{% macro again(n) %}{{ again(n + 1) }}{{ again(n + 1) }}{% endmacro %}{{ again(0) }}",
    ] {
        let held = most_memory(models::chat_template, template.as_bytes());
        assert!(held < 512 * MIB, "{template}: {held}");
    }
}

#[test]
fn a_posterior_takes_memory_for_the_columns_that_its_tensors_hold() {
    let claim = br#"{"format": 1, "method": "swag", "columns": 1000000000, "settings": null}"#;
    let held = most_memory(adapters::posterior, claim);
    assert!(held < 64 * MIB, "{held}");
}

#[test]
fn a_size_that_no_model_has_is_refused_before_it_is_multiplied() {
    for size in [u64::MAX, 1 << 40] {
        let config = format!(
            r#"{{"model_type": "llama", "hidden_size": {size}, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": {size}, "vocab_size": {size},
            "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "hidden_act": "silu"}}"#
        );
        let held = most_memory(models::config, config.as_bytes());
        assert!(held < 64 * MIB, "{held}");
    }
}

#[test]
fn a_tokenizer_with_an_unknown_decoder_is_refused() {
    let tokenizer = br#"{"version": "1.0", "added_tokens": [], "decoder": [1],
        "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}"#;
    most_memory(models::tokenizer, tokenizer);
}

#[test]
fn a_damaged_table_of_replacements_is_refused_when_a_text_is_encoded() {
    // One node, which points far behind the table.
    let tokenizer = br#"{"version": "1.0", "added_tokens": [],
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": "BAAAAP///38="},
        "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}"#;
    most_memory(models::tokenizer, tokenizer);
}

#[test]
fn a_table_of_replacements_and_padding_take_the_memory_that_a_file_has() {
    // A table of 2 GiB, and texts padded to 2^40 tokens.
    let parts = [
        r#""normalizer": {"type": "Precompiled", "precompiled_charsmap": "/P//f3Jlc3Q="}"#,
        r#""normalizer": {"type": "Sequence", "normalizers": [{"type": "Precompiled", "precompiled_charsmap": "/P//f3Jlc3Q="}]}"#,
        r#""padding": {"strategy": {"Fixed": 1099511627776}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "a"}"#,
    ];
    for part in parts {
        let tokenizer = format!(
            r#"{{"version": "1.0", "added_tokens": [], {part},
            "model": {{"type": "WordLevel", "vocab": {{"a": 0}}, "unk_token": "a"}}}}"#
        );
        let held = most_memory(models::tokenizer, tokenizer.as_bytes());
        assert!(held < 64 * MIB, "{held}");
    }
}

#[test]
fn long_texts_of_a_tokenizer_do_not_fill_the_stack() {
    let piece = "E".repeat(60_000);
    let alternatives = "|".repeat(300_000);
    for parts in [
        format!(r#""model": {{"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0], ["{piece}", -1.0]]}}"#),
        format!(
            r#""pre_tokenizer": {{"type": "Split", "pattern": {{"Regex": "{alternatives}"}}, "behavior": "Isolated", "invert": false}},
            "model": {{"type": "WordLevel", "vocab": {{"a": 0}}, "unk_token": "a"}}"#
        ),
    ] {
        let tokenizer = format!(r#"{{"version": "1.0", "added_tokens": [], {parts}}}"#);
        most_memory(models::tokenizer, tokenizer.as_bytes());
    }
}

#[test]
fn a_chat_template_longer_than_the_engine_counts_is_refused() {
    most_memory(models::chat_template, "{{ 'x' }} ".repeat(10_000).as_bytes());
}

#[test]
fn an_adapter_takes_memory_for_the_rank_that_its_tensors_have() {
    for rank in ["1000000000", "18446744073709551615"] {
        let config = format!(
            r#"{{"peft_type": "LORA", "task_type": "SEQ_CLS", "r": {rank}, "lora_alpha": 5, "target_modules": ["query", "value"]}}"#
        );
        let held = most_memory(adapters::adapter_config, config.as_bytes());
        assert!(held < 64 * MIB, "{held}");
    }
}

#[test]
fn a_bottleneck_takes_memory_for_the_size_that_its_tensors_have() {
    let config = r#"{"format": 1, "tuning": {"bottleneck": {"placement": "houlsby", "size": 1000000000, "activation": "relu",
        "modules_to_save": ["classifier"]}}, "task_type": "SEQ_CLS", "base_model_name_or_path": null}"#;
    let held = most_memory(adapters::tuning, config.as_bytes());
    assert!(held < 64 * MIB, "{held}");
}

#[test]
fn rows_that_share_no_keys_take_no_cell_for_each_key_of_the_others() {
    let mut lines = String::new();
    for row in 0..60_000 {
        writeln!(lines, "{{\"{row}\": 1}}").expect("a string takes any text");
    }
    let held = most_memory(rows::jsonl, lines.as_bytes());
    assert!(held < 512 * MIB, "{held}");
}

#[test]
fn a_table_of_nothing_but_separators_takes_memory_for_its_cells() {
    let held = most_memory(rows::csv, ",".repeat(1 << 20).as_bytes());
    assert!(held < 256 * MIB, "{held}");
}

#[test]
fn lists_and_tables_that_are_never_closed_do_not_fill_the_stack() {
    documents::run_toml("r = 8\na = [e\"]\nb = { \"c\n".repeat(40_000).as_bytes());
}

#[test]
fn json_of_json_costs_a_template_more_than_the_text_that_it_is() {
    let template = format!("{{{{ messages{} }}}}", " | tojson".repeat(200));
    let held = most_memory(models::chat_template, template.as_bytes());
    assert!(held < 16 * MIB, "{held}");
}

#[test]
fn a_chain_of_a_template_does_not_fill_the_stack() {
    // As long as a tag may be, and as long as a file.
    for count in [990, 65_000] {
        for (before, after) in [
            ("", ".l"),
            ("", "|s"),
            ("", "[0]"),
            ("", "+a"),
            ("-", ""),
            ("not ", ""),
        ] {
            let count = count / (before.len() + after.len()).max(2);
            let chain = format!("{{{{ {}a{} }}}}", before.repeat(count), after.repeat(count));
            models::chat_template(chain.as_bytes());
        }
    }
}

/// Panics of `parquet` and `tokenizers`, and sums that overflow, in inputs of the loop.
#[test]
fn damage_that_a_library_or_a_sum_panicked_at_is_an_error() {
    for (name, number, len) in [
        ("parquet", 12_805, 1463),         // a column begins before the file does
        ("tokenizer", 23_103, 1176),       // a template names `[CLS,`, which is no token
        ("config", 226_566, 685),          // pad_token_id is the largest there is
        ("adapter_config", 43_006, 10656), // so is tfinal
    ] {
        let reader = READERS.iter().find(|reader| reader.name == name);
        let reader = reader.expect("a reader of this name");
        let input = reader.mutator().input(number);
        assert_eq!(
            input.len(),
            len,
            "{name}: with other seeds this damage has another number"
        );
        (reader.read)(&input);
    }
}
