//! Paths of modules, as tables show them.

/// The components that all paths begin with, without the last one of any.
pub fn common<'a>(mut paths: impl Iterator<Item = &'a str>) -> String {
    let parents = |path: &'a str| {
        path.split('.')
            .rev()
            .skip(1)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
    };
    let mut common: Vec<&str> = paths
        .next()
        .map(|path| parents(path).collect())
        .unwrap_or_default();
    for path in paths {
        let same = common
            .iter()
            .zip(parents(path))
            .take_while(|(one, other)| *one == other)
            .count();
        common.truncate(same);
    }
    common.join(".")
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_all_paths_begin_with_is_said_once() {
        let common = |paths: &[&'static str]| super::common(paths.iter().copied());
        assert_eq!(
            common(&["a.layer.0.query", "a.layer.1.query", "a.layer.10.query"]),
            "a.layer"
        );
        assert_eq!(common(&["a.b", "a.b.c"]), "a");
        assert_eq!(common(&["a", "b.c"]), "");
        assert_eq!(common(&["a.b.c"]), "a.b");
    }
}
