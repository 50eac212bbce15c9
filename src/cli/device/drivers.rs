//! What drivers print on standard error that is no error of this program.

/// Keeps Mesa's layer for choosing among devices from asking for a Wayland session where there is none: it would print
/// `error: XDG_RUNTIME_DIR is invalid or not set in the environment.` for every look at the devices, in a container or under
/// cron. The layer is told so by a variable, which a process can only be begun with: this one begins itself anew with it.
/// Without the layer the devices are the same; whoever sets its own variable keeps it.
pub(crate) fn quiet() {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::process::CommandExt;

        /// The layer's own switch, in its manifest.
        const SWITCH: &str = "NODEVICE_SELECT";
        let is_set = |name: &str| std::env::var_os(name).is_some();
        if is_set("XDG_RUNTIME_DIR") || is_set(SWITCH) || is_set("MESA_VK_DEVICE_SELECT") {
            return;
        }
        let Ok(program) = std::env::current_exe() else { return };
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_else(|| program.clone().into());
        // It returns where the program cannot be begun anew, which is no reason not to work.
        let _ = std::process::Command::new(program).arg0(name).args(arguments).env(SWITCH, "1").exec();
    }
}
