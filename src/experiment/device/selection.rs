//! Selects a device by name.

use wgpu::{AdapterInfo, DeviceType};

use crate::{Error, Result};

/// How to install a driver.
pub const INSTALL_DRIVER: &str =
    "for a GPU install its vendor's Vulkan driver, for a software one: apt-get install mesa-vulkan-drivers";

/// The selected device, with a note if the choice may surprise.
#[derive(Debug, PartialEq)]
pub(crate) enum Selection {
    /// The GPU of this index in the order of [`Gpu::adapters`](crate::Gpu::adapters).
    Gpu(usize, Option<String>),
    /// The CPU backend.
    Cpu(Option<String>),
}

/// A unique name for each adapter, as in `NVIDIA GeForce RTX 3080, vulkan, 0000:01:00.0`: the card, its API, and its
/// bus address if the driver reports one. Identical names are numbered.
pub fn identities(adapters: &[AdapterInfo]) -> Vec<String> {
    let plain = |info: &AdapterInfo| {
        let address = &info.device_pci_bus_id;
        let place = if address.is_empty() { String::new() } else { format!(", {address}") };
        format!("{}{place}", without_address(info))
    };
    let all: Vec<String> = adapters.iter().map(plain).collect();
    let numbered = |(index, identity): (usize, &String)| match all.iter().filter(|other| *other == identity).count() {
        1 => identity.clone(),
        _ => format!("{identity}, #{}", all[..=index].iter().filter(|other| *other == identity).count()),
    };
    all.iter().enumerate().map(numbered).collect()
}

/// The part of an identity that does not depend on the PCI slot.
fn without_address(info: &AdapterInfo) -> String {
    format!("{}, {}", info.name, info.backend)
}

/// The device that `--device asked` selects among the adapters in the order of [`Gpu::adapters`](crate::Gpu::adapters),
/// which lists hardware GPUs before software drivers.
///
/// # Errors
/// [`Error::NoDevice`] lists the GPUs if no name matches or several do.
pub(crate) fn select(asked: &str, adapters: &[AdapterInfo]) -> Result<Selection> {
    let lower = asked.to_lowercase();
    match lower.as_str() {
        "cpu" => Ok(Selection::Cpu(None)),
        "auto" => Ok(match adapters.first() {
            Some(info) if info.device_type != DeviceType::Cpu => Selection::Gpu(0, None),
            Some(info) => {
                let name = &info.name;
                Selection::Cpu(Some(format!(
                    "no GPU but a software driver, {name}, which is slower than the CPU backend\n\
                     for a GPU install its vendor's Vulkan driver; --device gpu takes the software one"
                )))
            }
            None => Selection::Cpu(Some(format!("no GPU driver found\n{INSTALL_DRIVER}"))),
        }),
        "gpu" if adapters.is_empty() => {
            Err(Error::NoDevice(format!("--device gpu: no GPU driver found; {INSTALL_DRIVER}")))
        }
        "gpu" => Ok(Selection::Gpu(0, None)),
        "" => Err(unknown(asked, adapters)),
        _ => match lower.parse::<usize>() {
            Ok(index) if index < adapters.len() => Ok(Selection::Gpu(index, None)),
            // `4090` is part of a name.
            _ => by_name(asked, adapters),
        },
    }
}

/// The place of a rank among those of its machine, which share its GPUs and cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number there, from 0.
    pub local_rank: usize,
    /// The number of ranks there, at least 1.
    pub local_size: usize,
}

/// Where `--device asked` names no particular GPU, the one of the rank's number: among those of the kind and the API of the
/// first, again from the first if there are fewer than ranks.
pub(crate) fn at_place(selection: Selection, asked: &str, adapters: &[AdapterInfo], place: Option<Place>) -> Selection {
    let is_open = ["auto", "gpu"].contains(&asked.to_lowercase().as_str());
    let (Selection::Gpu(first, None), Some(Place { local_rank, local_size }), true) = (&selection, place, is_open)
    else {
        return selection;
    };
    let like_first = |info: &AdapterInfo| {
        let is_software = |info: &AdapterInfo| info.device_type == DeviceType::Cpu;
        info.backend == adapters[*first].backend && is_software(info) == is_software(&adapters[*first])
    };
    let all: Vec<usize> = (0..adapters.len()).filter(|index| like_first(&adapters[*index])).collect();
    let note = (local_size > all.len()).then(|| {
        format!("{local_size} ranks of this machine share {} GPU{}", all.len(), if all.len() == 1 { "" } else { "s" })
    });
    Selection::Gpu(all[local_rank % all.len()], note)
}

/// The threads of a rank on the CPU, if none are set.
pub(crate) fn threads_at(place: Place) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / place.local_size).max(1)
}

/// The adapter with this identity, or with this name, or whose name contains the text.
fn by_name(asked: &str, adapters: &[AdapterInfo]) -> Result<Selection> {
    let lower = asked.to_lowercase();
    let identities = identities(adapters);
    if let Some(index) = identities.iter().position(|identity| identity.to_lowercase() == lower) {
        return Ok(Selection::Gpu(index, None));
    }
    if let Some(index) =
        adapters.iter().position(|info| lower.starts_with(&(without_address(info) + ", ").to_lowercase()))
    {
        let note = format!("{asked} was not found; using {}", identities[index]);
        return Ok(Selection::Gpu(index, Some(note)));
    }
    let such = |matches: &dyn Fn(&str) -> bool| -> Vec<usize> {
        (0..adapters.len()).filter(|index| matches(&adapters[*index].name.to_lowercase())).collect()
    };
    // A number must match a whole number in the name, so that an unlisted index does not match a digit of a card's
    // name.
    let is_number = lower.bytes().all(|byte| byte.is_ascii_digit());
    let contains = |name: &str| {
        if is_number {
            name.split(|c: char| !c.is_ascii_digit()).any(|number| number == lower)
        } else {
            name.contains(&lower)
        }
    };
    let exact = such(&|name| name == lower);
    let found = if exact.is_empty() { such(&contains) } else { exact };
    match found[..] {
        [] => Err(unknown(asked, adapters)),
        [index] => Ok(Selection::Gpu(index, None)),
        [first, ..] if found.iter().all(|index| adapters[*index].name == adapters[first].name) => {
            let note = format!("{} GPUs have this name; using {}", found.len(), identities[first]);
            Ok(Selection::Gpu(first, Some(note)))
        }
        _ => Err(Error::NoDevice(format!(
            "--device {asked}: expected one GPU, got several; type the index or more of the name{}",
            listed(&identities, &found)
        ))),
    }
}

fn unknown(asked: &str, adapters: &[AdapterInfo]) -> Error {
    let all: Vec<usize> = (0..adapters.len()).collect();
    let found = if all.is_empty() { " no GPU".into() } else { listed(&identities(adapters), &all) };
    Error::NoDevice(format!("--device {asked}: expected auto, gpu, cpu, an index or a part of a name; found{found}"))
}

/// One line per GPU.
fn listed(identities: &[String], indices: &[usize]) -> String {
    indices.iter().map(|index| format!("\n  {index}  {}", identities[*index])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(name: &str, kind: DeviceType) -> AdapterInfo {
        AdapterInfo { name: name.into(), ..AdapterInfo::new(kind, wgpu::Backend::Vulkan) }
    }

    fn at(name: &str, address: &str) -> AdapterInfo {
        AdapterInfo { device_pci_bus_id: address.into(), ..adapter(name, DeviceType::DiscreteGpu) }
    }

    #[test]
    fn each_rank_takes_the_gpu_of_its_number_unless_one_is_named() {
        let integrated = adapter("Intel Iris", DeviceType::IntegratedGpu);
        let other_api = AdapterInfo { backend: wgpu::Backend::Gl, ..integrated.clone() };
        let all = [at("A", "1"), other_api, at("B", "2"), adapter("llvmpipe", DeviceType::Cpu)];
        let of = |asked: &str, local_rank, local_size| {
            let place = Some(Place { local_rank, local_size });
            at_place(select(asked, &all).unwrap(), asked, &all, place)
        };
        assert_eq!([of("auto", 0, 2), of("GPU", 1, 2)], [Selection::Gpu(0, None), Selection::Gpu(2, None)]);
        let shared = Some("3 ranks of this machine share 2 GPUs".to_owned());
        assert_eq!(of("auto", 2, 3), Selection::Gpu(0, shared));
        assert_eq!(of("B", 0, 2), Selection::Gpu(2, None));
        assert_eq!(of("cpu", 1, 2), Selection::Cpu(None));
    }

    #[test]
    fn auto_takes_the_first_gpu_and_never_a_software_driver() {
        let soft = adapter("llvmpipe", DeviceType::Cpu);
        let integrated = adapter("Intel Iris", DeviceType::IntegratedGpu);
        assert_eq!(select("auto", &[integrated.clone(), soft.clone()]).unwrap(), Selection::Gpu(0, None));
        let only = [soft];
        assert!(matches!(select("auto", &only).unwrap(), Selection::Cpu(Some(note)) if note.contains("llvmpipe")));
        assert!(
            matches!(select("auto", &[]).unwrap(), Selection::Cpu(Some(note)) if note.contains("mesa-vulkan-drivers"))
        );
        assert_eq!(select("gpu", &only).unwrap(), Selection::Gpu(0, None));
        assert_eq!(select("cpu", &[integrated]).unwrap(), Selection::Cpu(None));
    }

    #[test]
    fn a_device_is_found_by_index_or_part_of_its_name() {
        let soft = adapter("llvmpipe (LLVM 15)", DeviceType::Cpu);
        let both = [soft, adapter("NVIDIA H100", DeviceType::DiscreteGpu)];
        assert_eq!(select("h100", &both).unwrap(), Selection::Gpu(1, None));
        assert_eq!(select("0", &both).unwrap(), Selection::Gpu(0, None));
        let error = select("2", &both).unwrap_err().to_string();
        assert!(error.contains("--device 2") && error.contains("1  NVIDIA H100"), "{error}");
        assert!(select("gpu", &[]).unwrap_err().to_string().contains("vendor's Vulkan driver"));
    }

    #[test]
    fn a_number_is_a_listed_index_or_part_of_exactly_one_name() {
        let cards = [
            at("NVIDIA GeForce RTX 4090", "0000:01:00.0"),
            at("NVIDIA GeForce RTX 4080", "0000:02:00.0"),
            at("AMD Radeon RX 7900 XTX", "0000:03:00.0"),
            at("AMD Radeon RX 7900 GRE", "0000:04:00.0"),
        ];
        assert_eq!(select("4090", &cards).unwrap(), Selection::Gpu(0, None));
        assert_eq!(select("4080", &cards).unwrap(), Selection::Gpu(1, None));
        assert_eq!(select("3", &cards).unwrap(), Selection::Gpu(3, None));
        let several = select("7900", &cards).unwrap_err().to_string();
        let both =
            "\n  2  AMD Radeon RX 7900 XTX, vulkan, 0000:03:00.0\n  3  AMD Radeon RX 7900 GRE, vulkan, 0000:04:00.0";
        assert!(
            several.contains("--device 7900: expected one GPU, got several") && several.ends_with(both),
            "{several}"
        );
        for absent in ["4", "40", "409", "90", "99", "5090", "18446744073709551616"] {
            let error = select(absent, &cards).unwrap_err().to_string();
            let listed = error.contains("0  NVIDIA GeForce RTX 4090") && error.ends_with(both);
            assert!(error.contains(&format!("--device {absent}: expected auto, gpu, cpu")) && listed, "{error}");
        }
        // An index comes before a name.
        assert_eq!(select("1", &[at("Card 1", ""), at("Card 0", "")]).unwrap(), Selection::Gpu(1, None));
    }

    #[test]
    fn a_name_contained_in_another_still_selects_its_device() {
        let cards = [at("RTX 3080 Ti", "0000:01:00.0"), at("RTX 3080", "0000:02:00.0")];
        assert_eq!(select("rtx 3080", &cards).unwrap(), Selection::Gpu(1, None));
        assert_eq!(select("3080 ti", &cards).unwrap(), Selection::Gpu(0, None));
        let error = select("3080", &cards).unwrap_err().to_string();
        let list = "\n  0  RTX 3080 Ti, vulkan, 0000:01:00.0\n  1  RTX 3080, vulkan, 0000:02:00.0";
        assert!(error.contains("--device 3080: expected one GPU, got several") && error.ends_with(list), "{error}");
    }

    #[test]
    fn every_adapter_is_found_by_its_identity_even_among_equal_ones() {
        let cards = [
            at("RTX 3080 Ti", "0000:01:00.0"),
            at("RTX 3080", "0000:02:00.0"),
            at("RTX 3080", "0000:03:00.0"),
            AdapterInfo { backend: wgpu::Backend::Dx12, ..at("RTX 3080", "") },
            at("Twin", ""),
            at("Twin", ""),
        ];
        for (index, identity) in identities(&cards).iter().enumerate() {
            assert_eq!(select(identity, &cards).unwrap(), Selection::Gpu(index, None), "{identity}");
        }
        let first = "3 GPUs have this name; using RTX 3080, vulkan, 0000:02:00.0";
        assert_eq!(select("RTX 3080", &cards).unwrap(), Selection::Gpu(1, Some(first.into())));
    }

    #[test]
    fn a_card_in_another_pci_slot_is_taken_with_a_note_and_another_card_never() {
        let cards = [at("RTX 3080 Ti", "0000:01:00.0"), at("RTX 3080", "0000:02:00.0")];
        let note = "RTX 3080, vulkan, 0000:09:00.0 was not found; using RTX 3080, vulkan, 0000:02:00.0";
        let moved = select("RTX 3080, vulkan, 0000:09:00.0", &cards).unwrap();
        assert_eq!(moved, Selection::Gpu(1, Some(note.into())));
        for other in ["RTX 3080, dx12, 0000:02:00.0", "RTX 3090, vulkan, 0000:02:00.0"] {
            assert!(select(other, &cards).unwrap_err().to_string().contains("1  RTX 3080, vulkan"), "{other}");
        }
    }
}
