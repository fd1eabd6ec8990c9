//! What cannot be reached is named, with where it was looked for.

use super::*;

/// A port of this machine at which nobody listens.
fn nobody() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn a_steady_state_that_an_unreachable_upstream_prevents_names_it() {
    let (desk, server) = (Desk::new(), well());
    let upstream = nobody();
    let text = scenario(&server, SLOW)
        .replace("ready = \"/ready\"\n", "")
        .replace(&server.address().to_string(), &upstream.to_string());
    desk.write("a.toml", &text);
    let args = ["run", "a.toml", "--report-dir", "out"];
    let finished = desk.run(&args).exits_with(3);
    let last = format!("the last: connection refused by {upstream}");
    for (what, told) in [
        ("talk", &finished.stderr),
        ("text", &finished.stdout),
        ("page", &desk.read("out/report.html")),
        ("JSON", &desk.read("out/report.json")),
        ("JUnit", &desk.read("out/junit.xml")),
    ] {
        let proxy = "proxy `edge` could not reach its upstream: ";
        let line = told.lines().find(|line| line.contains(proxy));
        let line = line.unwrap_or_else(|| panic!("{what}: {told}"));
        assert!(line.contains(" dials failed, "), "{what}: {line}");
        assert!(line.contains(&last), "{what}: {line}");
    }
}

#[test]
fn a_service_and_a_database_that_do_not_answer_are_named_with_their_address() {
    let desk = Desk::new();
    desk.write("service.toml", NOBODY);
    let refused = desk.run(&["run", "service.toml"]).exits_with(3).stdout;
    let told = "service `gone`: not ready after 200ms: 127.0.0.1:1: Connection refused";
    assert!(refused.contains(told), "{refused}");
    assert!(!refused.contains("log"), "nobody reads one: {refused}");

    let database = nobody();
    let text = format!(
        "[scenario]\ntitle = \"t\"\nduration = \"1s\"\n[[database]]\nname = \"main\"\n\
         url = \"postgres://app:secret@{database}/app\"\nsetup = [\"SELECT 1\"]\n"
    );
    desk.write("database.toml", &text);
    let refused = desk.run(&["run", "database.toml"]).exits_with(3);
    let told = format!("connect to database `main` at {database}: ");
    assert!(refused.stdout.contains(&told), "{}", refused.stdout);
    assert!(!refused.stdout.contains("secret") && !refused.stderr.contains("secret"));
}
