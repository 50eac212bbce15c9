//! Suppresses driver messages on standard error that are not errors of this program.

/// Keeps Mesa's device selection layer from looking for a Wayland session: without one it would print `error:
/// XDG_RUNTIME_DIR is invalid or not set in the environment.` for each look at the devices, in a container or under
/// cron. The layer is turned off by an environment variable that must be set when the process starts, so this one
/// restarts itself with it. Without the layer the devices are the same; a variable set by the user is kept.
pub(crate) fn quiet() {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::process::CommandExt;

        /// The switch of the layer, from its manifest.
        const SWITCH: &str = "NODEVICE_SELECT";
        let is_set = |name: &str| std::env::var_os(name).is_some();
        if is_set("XDG_RUNTIME_DIR") || is_set(SWITCH) || is_set("MESA_VK_DEVICE_SELECT") {
            return;
        }
        let Ok(program) = std::env::current_exe() else { return };
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_else(|| program.clone().into());
        // It returns only if the restart failed, and then the program continues without.
        let _ = std::process::Command::new(program).arg0(name).args(arguments).env(SWITCH, "1").exec();
    }
}
