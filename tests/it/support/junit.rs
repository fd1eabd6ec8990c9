//! `junit.xml` as a test tool reads it.

use quick_xml::events::Event;

/// A test suite.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Suite {
    /// `tests`, `failures` and `errors`, as it counts them itself.
    pub(crate) counts: [u64; 3],
    pub(crate) cases: Vec<Case>,
}

/// A test case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// `failure`, `error`, `skipped`, or nothing if it passed.
    pub(crate) kind: String,
    /// What is said of it if it did not pass.
    pub(crate) message: String,
}

/// The suites of a document.
pub(crate) fn suites(xml: &str) -> Vec<Suite> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut suites: Vec<Suite> = Vec::new();
    loop {
        let event = reader.read_event().unwrap();
        let (Event::Start(tag) | Event::Empty(tag)) = &event else {
            if matches!(event, Event::Eof) {
                return suites;
            }
            continue;
        };
        let attribute = |key: &str| {
            let found = tag.try_get_attribute(key).unwrap();
            let value = found.map(|found| found.value.into_owned());
            let value = value.unwrap_or_default();
            quick_xml::escape::unescape(&value).unwrap().into_owned()
        };
        match tag.name().as_ref() {
            "testsuite" => suites.push(Suite {
                counts: ["tests", "failures", "errors"].map(|key| attribute(key).parse().unwrap()),
                cases: Vec::new(),
            }),
            "testcase" => suites.last_mut().unwrap().cases.push(Case {
                name: attribute("name"),
                kind: String::new(),
                message: String::new(),
            }),
            kind @ ("failure" | "error" | "skipped") => {
                let case = suites.last_mut().unwrap().cases.last_mut().unwrap();
                kind.clone_into(&mut case.kind);
                case.message = attribute("message");
            }
            _ => {}
        }
    }
}
