use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Diagnostic, Severity, Source};

/// Whether rendered text carries colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Letters only: for files.
    Plain,
    /// With ANSI colours: for terminals.
    Coloured,
}

/// Shows each diagnostic with the lines that it points to, as compilers do.
pub fn render(diagnostics: &[Diagnostic], source: &Source, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    }
    .decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&renderer.render(&[group(diagnostic, source)]));
        out.push_str("\n\n");
    }
    out
}

/// One line that counts: `error: 3 errors, 1 warning in db.toml; nothing was run`. Without errors
/// it is empty unless there are warnings. `outcome` says what that means.
pub fn summary(diagnostics: &[Diagnostic], source: &Source, outcome: &str) -> String {
    let count = |severity| {
        diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity)
            .count()
    };
    let counted: Vec<String> = [
        (count(Severity::Error), "error"),
        (count(Severity::Warning), "warning"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, noun)| format!("{count} {noun}{}", if count == 1 { "" } else { "s" }))
    .collect();
    let level = match (count(Severity::Error), counted.is_empty()) {
        (_, true) => return format!("{}: {outcome}", source.name),
        (0, false) => "warning",
        _ => "error",
    };
    format!(
        "{level}: {} in {}; {outcome}",
        counted.join(", "),
        source.name
    )
}

fn group<'a>(diagnostic: &'a Diagnostic, source: &'a Source) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(&diagnostic.message));
    if let Some(primary) = &diagnostic.primary {
        let related = diagnostic
            .related
            .iter()
            .map(|label| (AnnotationKind::Context, label));
        let annotations = std::iter::once((AnnotationKind::Primary, primary))
            .chain(related)
            .map(|(kind, label)| {
                kind.span(within(source, label.span.start, label.span.end))
                    .label(Some(label.text.as_str()).filter(|text| !text.is_empty()))
            });
        group = group.element(
            Snippet::source(&*source.text)
                .path(&source.name)
                .annotations(annotations),
        );
    }
    group
        .elements(
            diagnostic
                .notes
                .iter()
                .map(|note| Level::NOTE.message(note)),
        )
        .elements(diagnostic.help.iter().map(|help| Level::HELP.message(help)))
}

/// The range cut to the text and to its first line; an empty one marks the character that it
/// stands before.
fn within(source: &Source, start: usize, end: usize) -> std::ops::Range<usize> {
    let text = &source.text;
    let start = text.floor_char_boundary(start.min(text.len()));
    let end = text.ceil_char_boundary(end.clamp(start, text.len()));
    let end = text[start..end].find('\n').map_or(end, |line| start + line);
    if start == end {
        start..text.ceil_char_boundary((start + 1).min(text.len()))
    } else {
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source {
            name: "db.toml".to_owned(),
            text: "[scenario]\nduration = 80\n".into(),
        }
    }

    #[test]
    fn a_diagnostic_shows_its_line_with_the_place_underlined_and_what_to_do() {
        let diagnostic = Diagnostic::error((22..24).into(), "no unit", "expected a text")
            .related((0..10).into(), "in this block")
            .note("80 alone could be anything")
            .help("write `\"80s\"`");
        let shown = render(&[diagnostic], &source(), Style::Plain);
        insta::assert_snapshot!(shown.trim_end(), @r#"
        error: no unit
         --> db.toml:2:12
          |
        1 | [scenario]
          | ---------- in this block
        2 | duration = 80
          |            ^^ expected a text
          |
          = note: 80 alone could be anything
          = help: write `"80s"`
        "#);
    }

    #[test]
    fn a_place_beyond_the_text_is_cut_to_it() {
        let diagnostic = Diagnostic::error((900..1000).into(), "far", "");
        let shown = render(&[diagnostic], &source(), Style::Plain);
        assert!(shown.contains("db.toml:"), "{shown}");
    }

    #[test]
    fn the_summary_counts_and_says_what_it_means() {
        let error = Diagnostic::error((0..1).into(), "a", "");
        let warning = error.clone().warning();
        let shown = |list: &[Diagnostic], outcome| summary(list, &source(), outcome);
        assert_eq!(
            shown(&[error.clone(), warning.clone(), error], "nothing was run"),
            "error: 2 errors, 1 warning in db.toml; nothing was run"
        );
        assert_eq!(
            shown(&[warning], "valid"),
            "warning: 1 warning in db.toml; valid"
        );
        assert_eq!(shown(&[], "valid"), "db.toml: valid");
    }
}
