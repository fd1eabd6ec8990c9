use super::{Order, Setting, text};

/// A scenario with nothing but proxies and what the setting wants, as a user would leave it
/// running.
pub(super) fn order(setting: &Setting<'_>) -> Order {
    let mut scenario = "\
[scenario]
title    = \"the data plane beside its peers\"
duration = \"24h\"

[steady_state]
window = \"1ms\"
"
    .to_owned();
    for route in setting.routes {
        let protocol = match route.name {
            "postgres" | "http" if setting.follows => route.name,
            _ => "tcp",
        };
        let proxy = format!(
            "\n[[proxy]]\nname            = \"{}\"\nlisten          = \"{}\"\n\
            upstream        = \"{}\"\nmax_connections = {}\nprotocol        = \"{protocol}\"\n",
            route.name, route.listen, route.upstream, setting.connections
        );
        scenario.push_str(&proxy);
    }
    scenario.push_str(setting.blocks);
    Order {
        args: vec![
            "--quiet".to_owned(),
            "run".to_owned(),
            "--record".to_owned(),
            "--report-dir".to_owned(),
            text(&setting.folder.join("report")),
            text(&setting.folder.join("bench.toml")),
        ],
        file: ("bench.toml", scenario),
        env: Vec::new(),
    }
}
