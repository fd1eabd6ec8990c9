//! What needs what: an order in which everything can be stood up, or the circle that prevents it.

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
    let needs: Vec<_> = proxies
        .iter()
        .map(|(proxy, upstream)| {
            let behind = upstream.names().filter_map(|name| {
                let (name, _) = name.strip_prefix("service.")?.split_once('.')?;
                services.iter().find(|service| &*service.name == name)
            });
            let behind = behind.flat_map(|service| service.url.names());
            let named = upstream
                .names()
                .chain(behind)
                .filter_map(|name| name.strip_prefix("proxy.")?.strip_suffix(".address"));
            let met = proxies.iter().map(|(other, _)| other);
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
    let mut marks = vec![Mark::Fresh; items.len()];
    let mut order = Vec::with_capacity(items.len());
    let mut trail = Vec::new();
    for index in 0..items.len() {
        visit(index, items, &mut marks, &mut order, &mut trail)?;
    }
    Ok(order)
}

fn visit<'a>(
    index: usize,
    items: &[(&'a str, Vec<&'a str>)],
    marks: &mut [Mark],
    order: &mut Vec<usize>,
    trail: &mut Vec<&'a str>,
) -> Result<(), Vec<&'a str>> {
    let (name, needs) = &items[index];
    match marks[index] {
        Mark::Done => return Ok(()),
        Mark::Open => {
            let start = trail.iter().position(|step| step == name).unwrap_or(0);
            return Err(trail[start..].to_vec());
        }
        Mark::Fresh => marks[index] = Mark::Open,
    }
    trail.push(name);
    for need in needs {
        if let Some(next) = items.iter().position(|(name, _)| name == need) {
            visit(next, items, marks, order, trail)?;
        }
    }
    trail.pop();
    marks[index] = Mark::Done;
    order.push(index);
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
}
