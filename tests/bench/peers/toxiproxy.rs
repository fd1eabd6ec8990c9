//! Toxiproxy, and noxious, which reads the same file.

use std::net::{Ipv4Addr, SocketAddr};

use chaosproxy::lab::port;
use serde_json::{Value, json};

use super::{Order, Setting, text};

pub(super) fn toxiproxy(setting: &Setting<'_>) -> Order {
    order(
        setting,
        [
            ("GOMAXPROCS", setting.threads.to_string()),
            ("LOG_LEVEL", "fatal".to_owned()),
        ],
        ["-host", "-port", "-config"],
    )
}

pub(super) fn noxious(setting: &Setting<'_>) -> Order {
    order(
        setting,
        [
            ("TOKIO_WORKER_THREADS", setting.threads.to_string()),
            ("RUST_LOG", "error".to_owned()),
        ],
        ["--host", "--port", "--config"],
    )
}

fn order(
    setting: &Setting<'_>,
    env: [(&'static str, String); 2],
    [host, port, config]: [&str; 3],
) -> Order {
    let proxies: Vec<Value> = setting
        .routes
        .iter()
        .map(|route| {
            json!({
                "name": route.name,
                "listen": route.listen.to_string(),
                "upstream": route.upstream.to_string(),
                "enabled": true,
            })
        })
        .collect();
    // Its control port, which nobody uses here.
    let control =
        port::free(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).map_or(0, |address| address.port());
    Order {
        args: vec![
            host.to_owned(),
            "127.0.0.1".to_owned(),
            port.to_owned(),
            control.to_string(),
            config.to_owned(),
            text(&setting.folder.join("proxies.json")),
        ],
        file: ("proxies.json", Value::from(proxies).to_string()),
        env: env.into(),
    }
}
