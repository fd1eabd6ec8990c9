use std::path::Path;

use super::{Order, Setting, text};

/// Where distributions put the module; without it, it is taken to be compiled in.
const MODULES: [&str; 2] = [
    "/usr/lib/nginx/modules/ngx_stream_module.so",
    "/usr/lib64/nginx/modules/ngx_stream_module.so",
];

pub(super) fn order(setting: &Setting<'_>) -> Order {
    let module = MODULES.iter().find(|module| Path::new(module).exists());
    let module = module.map_or_else(String::new, |module| format!("load_module {module};\n"));
    let descriptors = 2 * setting.connections + 100;
    let mut servers = String::new();
    for route in setting.routes {
        let server = format!(
            "  server {{ listen {}; proxy_pass {}; }}\n",
            route.listen, route.upstream
        );
        servers.push_str(&server);
    }
    let config = format!(
        "\
{module}daemon off;
worker_processes {};
worker_rlimit_nofile {descriptors};
error_log stderr emerg;
pid {};
events {{ worker_connections {descriptors}; }}
stream {{
  tcp_nodelay on;
  access_log off;
  proxy_timeout 1h;
{servers}}}
",
        setting.threads,
        text(&setting.folder.join("nginx.pid")),
    );
    Order {
        args: vec![
            "-e".to_owned(),
            "stderr".to_owned(),
            "-p".to_owned(),
            text(setting.folder),
            "-c".to_owned(),
            text(&setting.folder.join("nginx.conf")),
        ],
        file: ("nginx.conf", config),
        env: Vec::new(),
    }
}
