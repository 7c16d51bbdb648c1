//! The command line as the parser sees it: one name for one thing, numbers with a minus, flags of other commands.
use super::*;
use crate::shared_args::SHARED_NAMES;

#[test]
fn the_command_line_is_sound() {
    command().debug_assert();
}

/// What a user reads. After a change of words or flags: `INSTA_UPDATE=always cargo test --workspace --lib help`.
#[test]
fn the_help_of_each_command_is_as_reviewed() {
    for command in command().get_subcommands() {
        let name = format!("help_{}", command.get_name());
        insta::assert_snapshot!(name, command.clone().term_width(120).render_long_help());
    }
}

/// Subcommands with the long names of their own arguments.
fn arguments() -> Vec<(String, clap::Arg)> {
    let command = command();
    let of = |sub: &clap::Command| {
        let name = sub.get_name().to_owned();
        let own = sub.get_arguments().filter(|arg| !arg.is_global_set()).cloned();
        own.map(|arg| (name.clone(), arg)).collect::<Vec<_>>()
    };
    command.get_subcommands().flat_map(of).collect()
}

#[test]
fn one_thing_has_one_name_and_one_name_means_one_thing() {
    let mut owners = std::collections::BTreeMap::<String, Vec<String>>::new();
    for (command, arg) in arguments() {
        let Some(long) = arg.get_long() else { continue };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        owners.entry(long.to_owned()).or_default().push(command.clone());
        for shared in SHARED_NAMES {
            assert_eq!(
                help.starts_with(shared.meaning),
                long == shared.long,
                "lora {command} --{long}: its help is `{help}`, and that of --{} begins with `{}`",
                shared.long,
                shared.meaning
            );
        }
    }
    for (long, commands) in owners {
        assert_eq!(
            commands.len() > 1,
            SHARED_NAMES.iter().any(|shared| shared.long == long),
            "--{long} is a flag of {commands:?}: those of several commands, and no other, are in SHARED_NAMES"
        );
    }
}

#[test]
fn former_spellings_are_taken_and_not_shown() {
    for (command, arg) in arguments() {
        let shared = SHARED_NAMES
            .iter()
            .find(|shared| arg.get_long() == Some(shared.long));
        for former in shared.map_or(&[][..], |shared| shared.former) {
            let aliases = arg.get_all_aliases().unwrap_or_default();
            assert!(aliases.contains(former), "lora {command} lacks --{former}");
            assert_eq!(arg.get_visible_aliases().unwrap_or_default(), [""; 0]);
        }
    }
}

#[test]
fn a_folder_is_taken_by_its_flag_and_by_its_place() {
    for words in [
        "merge a -o b",
        "merge --adapter a --output-dir b",
        "export a -o b",
        "export --adapter a -o b",
        "inspect a",
        "inspect --adapter a --base b",
        "inspect --model a",
        "combine a b -o c",
        "combine --adapter a --adapter b -o c",
        "compare a.csv --text body --label team --model-name-or-path m --output-dir d",
        "compare --data-file a.csv",
        "report a.jsonl b.jsonl",
        "report --results a.jsonl --results b.jsonl",
        "generate --model a --prompt b --chat",
        "eval a --data b.csv",
        "predict a text",
        "predict --adapter a text",
        "predict a --data b.csv",
        "bayesianize a --data b.csv -o c",
        "compare a.csv --epochs 3",
        "predict -- a text",
        "predict a -- text",
        "train --batch-size 8",
        "train --epochs 3 --lr 1e-3",
        "train --base a --data-file b --output-dir c --ensemble-members 3 --text body",
    ] {
        let parsed = command().try_get_matches_from(format!("lora {words}").split(' '));
        parsed.map_err(|error| error.to_string()).expect(words);
    }
    for words in [
        "merge a --adapter b -o c",
        "merge -o c",
        "inspect",
        "report",
        "combine -o c",
        "eval --data b.csv",
        "eval a --adapter c --data b.csv",
        "predict --data b.csv",
    ] {
        let parsed = command().try_get_matches_from(format!("lora {words}").split(' '));
        assert!(parsed.is_err(), "{words}");
    }
}

/// What one of the program's own sentences says of a wrong command.
fn sentence_for(
    words: &str,
    sentence: impl Fn(&clap::Command, &clap::Error, &[String]) -> Option<String>,
) -> Option<String> {
    let command = command();
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let parsed = command
        .clone()
        .try_get_matches_from(std::iter::once("lora").chain(words.iter().map(String::as_str)));
    sentence(&command, &parsed.expect_err("a wrong command"), &words)
}

#[test]
fn a_flag_of_another_subcommand_is_said_to_be_one() {
    let said = |words| sentence_for(words, of_another_subcommand);
    let dtype = said("train --dtype bf16").expect("a flag of eval");
    assert!(
        dtype.starts_with("lora train has no --dtype (trainings compute in f32"),
        "{dtype}"
    );
    assert!(
        dtype.contains(
            "it is a flag of lora eval, lora predict, lora serve, lora generate, lora bayesianize;"
        ),
        "{dtype}"
    );
    let seeds = said("sweep --config a.yaml --seeds=3").expect("a flag of compare");
    assert!(
        seeds.contains("it is a flag of lora demo, lora compare;"),
        "{seeds}"
    );
    assert_eq!(said("train --no-such-flag 1"), None, "the parser has a guess");
}

#[test]
fn a_missing_adapter_folder_is_told_with_both_ways_to_give_it() {
    let said = |words| sentence_for(words, of_a_missing_folder);
    for words in [
        "predict",
        "predict --data b.csv",
        "eval --data b.csv",
        "merge -o c",
    ] {
        let sentence = said(words).expect(words);
        for part in ["DIR …", "--adapter <DIR>"] {
            assert!(sentence.contains(part), "{words}: {sentence}");
        }
        assert!(!sentence.contains(", --data"), "{words}: {sentence}");
    }
    let both = said("eval").expect("a folder is missing");
    assert!(
        both.contains("(lora eval DIR …, or --adapter <DIR>), --data <FILE>;"),
        "{both}"
    );
    assert_eq!(said("eval a"), None, "rows alone are missing");
}

#[test]
fn what_stands_behind_two_hyphens_is_a_text() {
    let parsed = |words: &str| {
        let matches = command().try_get_matches_from(format!("lora {words}").split(' '));
        let matches = matches.expect(words);
        let predict = matches.subcommand_matches("predict").expect("lora predict");
        ["words", "as_texts"].map(|name| {
            let values = predict.get_many::<String>(name);
            values
                .into_iter()
                .flatten()
                .cloned()
                .collect::<Vec<_>>()
                .join(" ")
        })
    };
    assert_eq!(parsed("predict a -- -5 --data"), ["a", "-5 --data"]);
    assert_eq!(parsed("predict --adapter a b -- c"), ["b", "c"]);
    assert_eq!(parsed("predict -- a b"), ["", "a b"]);
}

#[test]
fn a_list_may_begin_with_a_minus() {
    let parse = |words: &str| {
        let command = command();
        let matches = command
            .try_get_matches_from(words.split(' '))
            .map_err(|error| error.to_string());
        matches.and_then(|matches| Arguments::from_arg_matches(&matches).map_err(|error| error.to_string()))
    };
    for weights in [
        "--weights -1,0.5",
        "--weights=-1,0.5",
        "--weights -0.5,-.5",
        "--weights -1e-1,1",
    ] {
        parse(&format!("lora combine a b {weights} --method svd -o c")).expect(weights);
    }
    for labels in [
        "eval --adapter a --data b.csv --labels -1,1",
        "merge --adapter a -o b --labels -1,0,1",
    ] {
        parse(&format!("lora {labels}")).expect(labels);
    }
    parse("lora train --layers-to-transform -2,-1 --target-modules -x").expect("lists of train");
    let refused = parse("lora combine a b --weights -x,1 -o c").expect_err("a word is no weight");
    assert!(refused.contains("-x"), "{refused}");
}

#[test]
fn a_negative_number_is_refused_as_a_value_not_as_a_flag() {
    for (words, part) in [
        (["compare", "a.csv", "--seeds", "-1"], "-1 is not in 1..=20"),
        (
            ["sweep", "--config=a.yaml", "--jobs", "-1"],
            "-1 is not in 1..=256",
        ),
        (
            ["eval", "--adapter=a", "--members", "-1"],
            "expected a whole number",
        ),
    ] {
        let command = command();
        let refused = command.try_get_matches_from(std::iter::once("lora").chain(words));
        let message = refused.map_or_else(|error| error.to_string(), |_| String::new());
        assert!(message.contains(part), "{words:?}: {message}");
    }
}
