use super::*;

#[test]
fn a_scenario_for_given_servers_is_valid_and_aims_at_them() {
    let desk = Desk::new();
    let args = [
        "init",
        "--service",
        "api=http://127.0.0.1:8000",
        "--service",
        "worker=http://10.0.0.7:8001/",
        "--database",
        "postgres://app@127.0.0.1:5432/app",
        "-o",
        "mine.toml",
    ];
    let finished = desk.run(&args).exits_with(0);
    assert!(
        finished.stderr.contains("wrote mine.toml"),
        "{}",
        finished.stderr
    );
    let validated = desk.run(&["validate", "mine.toml"]).exits_with(0);
    assert_eq!(
        (&*validated.stdout, &*validated.stderr),
        ("mine.toml: valid\n", "")
    );
    let text = desk.read("mine.toml");
    assert!(text.contains("target  = \"db\""), "{text}");
    assert!(text.contains("loopback_only = false"), "{text}");
    assert!(
        text.contains("\"worker-health.ok_ratio == 100%\""),
        "{text}"
    );
    assert!(!text.contains("codebase"), "{text}");

    let refused = desk.run(&args).exits_with(2);
    assert!(
        refused.stderr.contains("mine.toml exists already"),
        "{}",
        refused.stderr
    );
    assert_eq!(desk.read("mine.toml"), text);
}

#[test]
fn every_template_is_listed_and_copied_as_it_is() {
    let desk = Desk::new();
    let list = desk.run(&["init", "--list"]).exits_with(0).stdout;
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    assert_eq!(list.lines().count(), shipped().len(), "{list}");
    for line in list.lines() {
        let name = line.split_whitespace().next().unwrap();
        let copied = desk.run(&["init", "--template", name]).exits_with(0).stdout;
        let shipped = fs::read_to_string(scenarios.join(format!("{name}.toml"))).unwrap();
        assert_eq!(copied, shipped);
    }
}

/// The names of the shipped scenarios.
fn shipped() -> Vec<String> {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = fs::read_dir(scenarios).unwrap();
    let names = files.map(|file| file.unwrap().path().file_stem().unwrap().to_owned());
    names.map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn templates_whose_faults_act_on_connections_fit_servers_that_run_already() {
    // These end or pause servers, which only chaosproxy's own can be, or have no fault at all.
    let others = [
        "process-pause",
        "random-chaos",
        "restart-both",
        "schema-mismatch",
    ];
    let desk = Desk::new();
    let service = "--service=api=http://127.0.0.1:8000";
    for name in shipped() {
        let code = if others.contains(&&*name) { 2 } else { 0 };
        let finished = desk.run(&["init", "--template", &name, service]);
        let finished = finished.exits_with(code);
        assert_eq!(finished.stdout.is_empty(), code == 2, "{name}");
    }
}

#[test]
fn what_cannot_become_a_scenario_is_refused_before_it_is_written() {
    let desk = Desk::new();
    let nothing = desk.run(&["init"]).exits_with(2);
    assert!(
        nothing.stderr.contains("--service NAME=URL"),
        "{}",
        nothing.stderr
    );
    let args = [
        "init",
        "--service",
        "a b=http://127.0.0.1:1",
        "-o",
        "x.toml",
    ];
    let refused = desk.run(&args).exits_with(2).stderr;
    assert!(!desk.path("x.toml").exists());
    for part in [
        "--> command line:1:27\n",
        "chaosproxy init --service a b=http://127.0.0.1:1\n",
        "error: 1 error in command line; nothing was written\n",
    ] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    for (args, line) in [
        (
            "init --service a=http://127.0.0.1:1 --service a=http://127.0.0.1:2",
            "a second time",
        ),
        (
            "init --service a=http://127.0.0.1:1 --health up",
            "not the path of a request",
        ),
        (
            "init --service a=http://127.0.0.1:1 --database mysql://x",
            "invalid connection string",
        ),
        (
            "init --template process-pause --service a=http://127.0.0.1:1",
            "started by somebody else",
        ),
    ] {
        let args: Vec<_> = args.split(' ').collect();
        let refused = desk.run(&args).exits_with(2).stderr;
        assert!(refused.contains(line), "{refused}");
        assert!(refused.contains("--> command line:1:"), "{refused}");
        assert!(
            refused.contains("\nerror: 1 error in command line"),
            "{refused}"
        );
    }
}

#[test]
fn a_password_is_not_written() {
    let desk = Desk::new();
    let url = "postgres://u:hunter2@127.0.0.1:1/x";
    let args = [
        "init",
        "--service",
        "a=http://127.0.0.1:1",
        "--database",
        url,
    ];
    let written = desk.run(&args).exits_with(0);
    assert!(
        written.stdout.contains("url  = \"${DATABASE_URL}\"\n"),
        "{}",
        written.stdout
    );
    assert!(
        written
            .stderr
            .contains("takes ${DATABASE_URL} from the environment")
    );
    assert!(!format!("{}{}", written.stdout, written.stderr).contains("hunter2"));
}

#[test]
fn what_the_environment_will_give_is_written_as_it_is() {
    let desk = Desk::new();
    let unset = "${CHAOSPROXY_TEST_UNSET}";
    let service = format!("api=http://127.0.0.1:{unset}");
    let args = ["init", "--service", &service, "--database", unset];
    let written = desk.run(&args).exits_with(0);
    assert_eq!(written.stderr, "");
    for line in [
        format!("url  = \"{unset}\""),
        format!("url   = \"http://127.0.0.1:{unset}\""),
    ] {
        assert!(written.stdout.contains(&line), "{}", written.stdout);
    }
    let malformed = ["init", "--service", "api=http://127.0.0.1:${a b}"];
    let refused = desk.run(&malformed).exits_with(2).stderr;
    assert!(
        refused.contains("does not name an environment"),
        "{refused}"
    );
}
