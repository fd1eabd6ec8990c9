//! Workflow commands of GitHub Actions, which show a message at a line of a file.

use super::{Diagnostic, Severity, Source};

/// One command, with the end of its line. `place` is a line and a column, both from 1.
pub fn annotation(
    severity: Severity,
    file: &str,
    (line, column): (usize, usize),
    title: Option<&str>,
    message: &str,
) -> String {
    let level = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let title = title.map(|title| format!(",title={}", property(title)));
    format!(
        "::{level} file={},line={line},col={column}{}::{}\n",
        property(file),
        title.unwrap_or_default(),
        data(message)
    )
}

/// A command for each diagnostic: what is wrong, and what to do.
pub fn annotations(diagnostics: &[Diagnostic], source: &Source) -> String {
    let command = |found: &Diagnostic| {
        let label = found.primary.as_ref();
        let place = label.map_or((1, 1), |label| source.position(label.span.start));
        let why = label
            .map(|label| &label.text)
            .filter(|text| !text.is_empty());
        let why = why.map(|text| format!(": {text}"));
        let help = found.help.iter().map(|help| format!("\n{help}"));
        let message = format!(
            "{}{}{}",
            found.message,
            why.unwrap_or_default(),
            help.collect::<String>()
        );
        annotation(found.severity, &source.name, place, None, &message)
    };
    diagnostics.iter().map(command).collect()
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_command_early_is_escaped() {
        assert_eq!(data("50 % of a\r\nb: c, d"), "50 %25 of a%0D%0Ab: c, d");
        assert_eq!(property("a:b,c\n%"), "a%3Ab%2Cc%0A%25");
    }

    #[test]
    fn a_mistake_stands_at_its_line_with_what_to_do() {
        let source = Source {
            name: "a,b.toml".to_owned(),
            text: "[scenario]\nduration = 80\n".into(),
        };
        let found = Diagnostic::error((22..24).into(), "no unit", "a number").help("write `80s`");
        assert_eq!(
            annotations(&[found.clone(), found.warning()], &source),
            "::error file=a%2Cb.toml,line=2,col=12::no unit: a number%0Awrite `80s`\n\
             ::warning file=a%2Cb.toml,line=2,col=12::no unit: a number%0Awrite `80s`\n"
        );
    }
}
