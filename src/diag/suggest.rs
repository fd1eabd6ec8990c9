/// The candidate that `name` was probably meant to be, if one is near enough.
///
/// "Near" is a Damerau-Levenshtein distance of at most a third of the length, the rule that
/// compilers use for misspelt identifiers.
pub fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = name.chars().count().max(3) / 3;
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn a_misspelt_name_finds_its_neighbour_and_a_strange_one_finds_nothing() {
        let kinds = ["partition", "latency", "disconnect"];
        assert_eq!(did_you_mean("latencey", kinds), Some("latency"));
        assert_eq!(did_you_mean("partitoin", kinds), Some("partition"));
        assert_eq!(did_you_mean("bandwidth", kinds), None);
    }
}
