use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Order, Setting, text};

pub(super) fn order(setting: &Setting<'_>) -> Order {
    let listeners: Vec<Value> = setting
        .routes
        .iter()
        .map(|route| {
            json!({
                "name": route.name,
                "address": address(route.listen),
                "filter_chains": [{ "filters": [{
                    "name": "tcp",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                        "stat_prefix": route.name,
                        "cluster": route.name,
                        "idle_timeout": "0s",
                    },
                }]}],
            })
        })
        .collect();
    let clusters: Vec<Value> = setting
        .routes
        .iter()
        .map(|route| {
            json!({
                "name": route.name,
                "type": "STATIC",
                "connect_timeout": "5s",
                "circuit_breakers": { "thresholds": [{
                    "max_connections": setting.connections,
                    "max_pending_requests": setting.connections,
                }]},
                "load_assignment": {
                    "cluster_name": route.name,
                    "endpoints": [{ "lb_endpoints": [
                        { "endpoint": { "address": address(route.upstream) } },
                    ]}],
                },
            })
        })
        .collect();
    let config = json!({ "static_resources": { "listeners": listeners, "clusters": clusters } });
    Order {
        args: vec![
            "-c".to_owned(),
            text(&setting.folder.join("envoy.json")),
            "--concurrency".to_owned(),
            setting.threads.to_string(),
            "--disable-hot-restart".to_owned(),
            "-l".to_owned(),
            "off".to_owned(),
        ],
        file: ("envoy.json", config.to_string()),
        env: Vec::new(),
    }
}

fn address(address: SocketAddr) -> Value {
    json!({ "socket_address": {
        "address": address.ip().to_string(),
        "port_value": address.port(),
    }})
}
