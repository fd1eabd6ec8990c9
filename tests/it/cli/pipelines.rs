//! The workflow files in `docs/ci`: what they call, called here.

use yaml_rust2::{Yaml, YamlLoader};

use super::*;

fn workflow(name: &str) -> Yaml {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/ci")
        .join(name);
    let mut documents = YamlLoader::load_from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(documents.len(), 1, "{name}");
    documents.remove(0)
}

fn texts(list: &Yaml) -> Vec<&str> {
    list.as_vec()
        .unwrap()
        .iter()
        .map(|item| item.as_str().unwrap())
        .collect()
}

/// Performs what a job says to chaosproxy, on a suite that passes.
fn perform(commands: &[&str]) -> Desk {
    let (desk, server) = (Desk::new(), well());
    fs::create_dir(desk.path("scenarios")).unwrap();
    for file in ["scenarios/one.toml", "scenarios/two.toml"] {
        desk.write(file, &scenario(&server, SLOW));
    }
    let ours = commands
        .iter()
        .filter(|line| line.starts_with("chaosproxy "));
    let mut performed = 0;
    for line in ours {
        let path = format!(
            "{}:{}",
            exe().parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        let output = crate::support::bound("sh")
            .args(["-c", line])
            .current_dir(&desk.dir)
            .env("PATH", path)
            .env_remove("GITHUB_STEP_SUMMARY")
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        performed += 1;
    }
    assert_eq!(performed, 2, "{commands:?}");
    desk
}

/// Installed from where its source is kept: nothing else needs to exist.
fn assert_installs(commands: &[&str], variables: &Yaml) {
    let install = "cargo install --locked --git \"$CHAOSPROXY_SOURCE\"";
    assert!(commands.contains(&install), "{commands:?}");
    assert!(variables["CHAOSPROXY_SOURCE"].as_str().is_some());
}

#[test]
fn the_workflow_for_github_actions_calls_what_there_is_and_keeps_what_it_writes() {
    let workflow = workflow("github-actions.yml");
    assert!(!workflow["on"].is_badvalue());
    let job = &workflow["jobs"]["chaos"];
    let steps = job["steps"].as_vec().unwrap();
    let runs: Vec<_> = steps
        .iter()
        .filter_map(|step| step["run"].as_str())
        .collect();
    assert_installs(&runs, &job["env"]);
    let desk = perform(&runs);
    let kept = steps.last().unwrap()["with"]["path"].as_str().unwrap();
    assert!(desk.path(kept).join("junit.xml").exists());
    assert!(desk.path(kept).join("two/try-1/report.html").exists());
}

#[test]
fn the_workflow_for_gitlab_calls_what_there_is_and_keeps_what_it_writes() {
    let workflow = workflow("gitlab-ci.yml");
    let job = &workflow["resilience"];
    assert_installs(&texts(&job["before_script"]), &job["variables"]);
    let desk = perform(&texts(&job["script"]));
    let artifacts = &job["artifacts"];
    for kept in texts(&artifacts["paths"]) {
        assert!(desk.path(kept).join("two/try-1/report.html").exists());
    }
    let junit = artifacts["reports"]["junit"].as_str().unwrap();
    assert_eq!(desk.read(junit).matches("<testsuite ").count(), 2);
}
