//! Recipes under `configs/` tell how to run them.

use super::Finding;
use super::tree::Tree;

pub(super) fn recipes_open_with_their_command(tree: &Tree) -> Vec<Finding> {
    let recipes = tree
        .files()
        .iter()
        .filter(|file| file.path.starts_with("configs/") && file.has_extension(&["yaml", "yml", "toml"]));
    let names_command = |text: &str| {
        let first = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix('#'))
            .map(str::trim_start);
        first.is_some_and(|comment| comment.starts_with("lora ") || comment.starts_with("cargo run "))
    };
    let without = recipes.filter(|file| !names_command(&file.text));
    let message = "the first line must be a comment with the command that runs it: `# lora train --config …`";
    without.map(|file| file.finding_at(0, message)).collect()
}

#[cfg(test)]
mod tests {
    //! With and without a command.

    use super::recipes_open_with_their_command;
    use crate::tidy::tree::Tree;

    #[test]
    fn a_recipe_opens_with_the_command_that_runs_it() {
        let tree = Tree::made_up(&[
            (
                "configs/a.yaml",
                "# lora train --config configs/a.yaml\n# 4 minutes on 2 cores\nseed: 1\n",
            ),
            (
                "configs/b.toml",
                "#cargo run --release -- train --config configs/b.toml\n",
            ),
            ("configs/c.yaml", "# A recipe.\n# lora train\n"),
            ("configs/nlu/d.yml", "seed: 1 # lora train\n"),
            ("configs/README.md", "Recipes.\n"),
            ("other/e.yaml", "seed: 1\n"),
        ]);
        assert_eq!(
            tree.places(recipes_open_with_their_command),
            ["configs/c.yaml:1", "configs/nlu/d.yml:1"]
        );
    }
}
