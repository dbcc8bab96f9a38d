//! Ports of the PC's old devices: 8259 interrupt controllers, 8254 timer, RTC, and what resets
//! the machine.

use crate::macros::constants;

constants! {
    u16 {
        /// First 8259: command.
        PIC1_COMMAND = 0x20;
        /// First 8259: data, which is its mask.
        PIC1_DATA = 0x21;
        /// Second 8259: command.
        PIC2_COMMAND = 0xa0;
        /// Second 8259: data, which is its mask.
        PIC2_DATA = 0xa1;
        /// Edge or level of IRQ 0 to 7.
        ELCR1 = 0x4d0;
        /// Edge or level of IRQ 8 to 15.
        ELCR2 = 0x4d1;
        /// 8254: channel 0, the system tick.
        PIT_CHANNEL0 = 0x40;
        /// 8254: channel 2, the speaker.
        PIT_CHANNEL2 = 0x42;
        /// 8254: mode and command.
        PIT_COMMAND = 0x43;
        /// Gate (bit 0), speaker (bit 1) and output (bit 5) of channel 2.
        PIT_CONTROL = 0x61;
        /// RTC: index; bit 7 masks NMIs.
        RTC_INDEX = 0x70;
        /// RTC: data.
        RTC_DATA = 0x71;
        /// System control: bit 0 resets.
        SYSTEM_CONTROL_A = 0x92;
        /// Keyboard controller: data.
        I8042_DATA = 0x60;
        /// Keyboard controller: command; 0xFE resets.
        I8042_COMMAND = 0x64;
        /// Chipset reset control: [`RESET_FULL`].
        RESET_CONTROL = 0xcf9;
        /// Selected by firmware for progress codes; a write takes about 1 microsecond.
        POST_CODE = 0x80;
        /// PCI: configuration address.
        PCI_CONFIG_ADDRESS = 0xcf8;
        /// PCI: configuration data.
        PCI_CONFIG_DATA = 0xcfc;
    }
}

constants! {
    u8 {
        /// 8259 ICW1: initialize, ICW4 follows.
        ICW1_INIT = 0x11;
        /// 8259 ICW4: 8086 mode.
        ICW4_8086 = 0x01;
        /// 8259 OCW1: mask all.
        MASK_ALL = 0xff;
        /// Reset control: full reset, by writing 0x02 and then this.
        RESET_FULL = 0x0e;
        /// Keyboard controller: pulse the reset line.
        I8042_RESET = 0xfe;
    }
}

constants! {
    u32 {
        /// Frequency of the 8254 in Hz.
        PIT_FREQUENCY_HZ = 1_193_182;
    }
}
