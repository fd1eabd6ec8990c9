//! What needs what: an order in which everything can be stood up, or the circle that prevents it.

use std::collections::HashMap;

use super::Block;
use crate::action::ProxySpec;
use crate::diag::Diagnostic;
use crate::lab::spec::ServiceSpec;
use crate::scenario::{address, mistake};
use crate::template::Template;

/// Services in an order in which each comes after those that it depends on.
pub(super) fn services(
    blocks: &[Block],
    services: Vec<ServiceSpec>,
    out: &mut Vec<Diagnostic>,
) -> Vec<ServiceSpec> {
    let needs: Vec<_> = services
        .iter()
        .map(|service| {
            let needs = service.depends_on.iter().map(|name| &**name).collect();
            (&*service.name, needs)
        })
        .collect();
    match sorted(&needs) {
        Ok(order) => pick(services, &order),
        Err(circle) => {
            out.push(circle_in(blocks, "service", "depends_on", &circle));
            services
        }
    }
}

/// Proxies in an order in which each comes after those that it leads to, by their names or by their
/// addresses, or to a service behind them.
pub(super) fn proxies(
    blocks: &[Block],
    proxies: Vec<(ProxySpec, Template)>,
    services: &[ServiceSpec],
    out: &mut Vec<Diagnostic>,
) -> Vec<(ProxySpec, Template)> {
    let listed = services.iter().map(|service| (&*service.name, service));
    let services: HashMap<_, _> = listed.collect();
    let mut at_port = HashMap::<u16, Vec<&ProxySpec>>::new();
    for (proxy, _) in &proxies {
        let port = proxy.listen.port();
        at_port.entry(port).or_default().push(proxy);
    }
    let needs: Vec<_> = proxies
        .iter()
        .map(|(proxy, upstream)| {
            let behind = upstream.names().filter_map(|name| {
                let (name, _) = name.strip_prefix("service.")?.split_once('.')?;
                services.get(name)
            });
            let behind = behind.flat_map(|service| service.url.names());
            let named = upstream
                .names()
                .chain(behind)
                .filter_map(|name| name.strip_prefix("proxy.")?.strip_suffix(".address"));
            let port = address::host_and_port(upstream.as_str()).map(|(_, port)| port);
            let met = port
                .and_then(|port| at_port.get(&port))
                .into_iter()
                .flatten();
            let met = met.filter(|other| address::meets(upstream.as_str(), other.listen));
            let needs = named.chain(met.map(|other| &*other.name)).collect();
            (&*proxy.name, needs)
        })
        .collect();
    match sorted(&needs) {
        Ok(order) => pick(proxies, &order),
        Err(circle) => {
            out.push(circle_in(blocks, "proxy", "upstream", &circle));
            proxies
        }
    }
}

/// Reports faults that wait for themselves.
pub(super) fn faults(blocks: &[Block], out: &mut Vec<Diagnostic>) {
    let needs: Vec<_> = blocks
        .iter()
        .filter(|block| block.kind == "fault")
        .filter_map(|block| {
            let needs = ["after", "with"]
                .iter()
                .filter_map(|key| block.text(key))
                .collect();
            Some((block.name()?, needs))
        })
        .collect();
    if let Err(circle) = sorted(&needs) {
        let key = blocks
            .iter()
            .find(|block| block.kind == "fault" && block.name() == circle.first().copied())
            .map_or("after", |block| {
                if block.values.contains_key("after") {
                    "after"
                } else {
                    "with"
                }
            });
        out.push(circle_in(blocks, "fault", key, &circle));
    }
}

fn circle_in(blocks: &[Block], kind: &str, key: &str, circle: &[&str]) -> Diagnostic {
    let span = blocks
        .iter()
        .find(|block| block.kind == kind && block.name() == circle.first().copied())
        .map(|block| block.span(key))
        .unwrap_or_default();
    mistake::name::circle(span, kind, circle)
}

fn pick<T>(items: Vec<T>, order: &[usize]) -> Vec<T> {
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    order
        .iter()
        .filter_map(|index| items.get_mut(*index)?.take())
        .collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Fresh,
    Open,
    Done,
}

/// Positions such that each item comes after those that it needs, as near to the given order as
/// that allows; or else the names of a circle. Unknown names are ignored.
fn sorted<'a>(items: &[(&'a str, Vec<&'a str>)]) -> Result<Vec<usize>, Vec<&'a str>> {
    let mut indexes = HashMap::new();
    for (index, (name, _)) in items.iter().enumerate() {
        indexes.entry(*name).or_insert(index);
    }
    let mut marks = vec![Mark::Fresh; items.len()];
    let mut order = Vec::with_capacity(items.len());
    for index in 0..items.len() {
        visit(index, items, &indexes, &mut marks, &mut order)?;
    }
    Ok(order)
}

/// Puts `first` behind what it needs. Without recursion: a chain may be as long as the file.
fn visit<'a>(
    first: usize,
    items: &[(&'a str, Vec<&'a str>)],
    indexes: &HashMap<&str, usize>,
    marks: &mut [Mark],
    order: &mut Vec<usize>,
) -> Result<(), Vec<&'a str>> {
    if marks[first] == Mark::Done {
        return Ok(());
    }
    marks[first] = Mark::Open;
    // Who waits for whom, with what each has not looked at yet.
    let mut trail = vec![(first, items[first].1.iter())];
    while let Some((index, needs)) = trail.last_mut() {
        let Some(need) = needs.next() else {
            marks[*index] = Mark::Done;
            order.push(*index);
            trail.pop();
            continue;
        };
        let Some(&next) = indexes.get(need) else {
            continue;
        };
        match marks[next] {
            Mark::Done => {}
            Mark::Open => {
                let circle = trail.iter().skip_while(|(index, _)| *index != next);
                return Err(circle.map(|(index, _)| items[*index].0).collect());
            }
            Mark::Fresh => {
                marks[next] = Mark::Open;
                trail.push((next, items[next].1.iter()));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::sorted;

    #[test]
    fn what_is_needed_comes_first_and_the_rest_keeps_its_order() {
        let items = [("a", vec!["c"]), ("b", vec![]), ("c", vec!["unknown"])];
        assert_eq!(sorted(&items), Ok(vec![2, 0, 1]));
    }

    #[test]
    fn a_circle_is_named_without_what_leads_to_it() {
        let items = [("a", vec!["b"]), ("b", vec!["c"]), ("c", vec!["b"])];
        assert_eq!(sorted(&items), Err(vec!["b", "c"]));
    }

    #[test]
    fn a_chain_may_be_as_long_as_a_file() {
        let names: Vec<_> = (0..100_000).map(|index| index.to_string()).collect();
        let needs = |index: usize| names.get(index + 1).map(|next| &**next);
        let items = names.iter().enumerate();
        let items: Vec<_> = items
            .map(|(index, name)| (&**name, needs(index).into_iter().collect()))
            .collect();
        assert_eq!(sorted(&items), Ok((0..names.len()).rev().collect()));
    }
}
