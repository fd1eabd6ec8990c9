use super::{Order, Setting, text};

pub(super) fn order(setting: &Setting<'_>) -> Order {
    let Setting {
        threads,
        connections,
        ..
    } = setting;
    let mut config = format!(
        "\
global
  nbthread {threads}
  maxconn {connections}
defaults
  mode tcp
  maxconn {connections}
  timeout connect 5s
  timeout client 1h
  timeout server 1h
"
    );
    for route in setting.routes {
        let listen = format!(
            "listen {}\n  bind {}\n  server upstream {}\n",
            route.name, route.listen, route.upstream
        );
        config.push_str(&listen);
    }
    Order {
        args: vec![
            "-db".to_owned(),
            "-q".to_owned(),
            "-f".to_owned(),
            text(&setting.folder.join("haproxy.cfg")),
        ],
        file: ("haproxy.cfg", config),
        env: Vec::new(),
    }
}
