/* What boot loaders look for: the multiboot headers, version 1 and 2, and the PVH note.
 *
 * Version 1 carries the address fields (flag 16), because QEMU takes a 64-bit ELF file only with
 * them. Version 2 goes by the ELF program headers. */

.set VIRTUAL_BASE, 0xffffffff80000000

.section .boot.header, "a"

.set MB1_MAGIC, 0x1badb002
/* Modules on page boundaries, a memory map, address fields. */
.set MB1_FLAGS, 0x00010003

.balign 8
multiboot1_header:
    .long MB1_MAGIC
    .long MB1_FLAGS
    .long -(MB1_MAGIC + MB1_FLAGS)
    .long multiboot1_header - VIRTUAL_BASE
    .long image_start - VIRTUAL_BASE
    .long load_end - VIRTUAL_BASE
    .long bss_end - VIRTUAL_BASE
    .long multiboot_entry - VIRTUAL_BASE

.set MB2_MAGIC, 0xe85250d6
.set MB2_LENGTH, multiboot2_header_end - multiboot2_header

.balign 8
multiboot2_header:
    .long MB2_MAGIC
    .long 0                                     /* 32-bit protected mode */
    .long MB2_LENGTH
    .long -(MB2_MAGIC + MB2_LENGTH)

    /* Information we can use, all optional (flag 1): command line, modules, memory map,
     * framebuffer, RSDP old and new. */
    .balign 8
    .short 1, 1
    .long 8 + 6 * 4
    .long 1, 3, 6, 8, 14, 15

    /* Modules on page boundaries. */
    .balign 8
    .short 6, 1
    .long 8

    /* Any framebuffer will do, and so will text. */
    .balign 8
    .short 5, 1
    .long 20
    .long 0, 0, 0

    .balign 8
    .short 0, 0
    .long 8
multiboot2_header_end:

/* XEN_ELFNOTE_PHYS32_ENTRY (18): the entry's physical address. */
.section .note.pvh, "a", @note
    .balign 4
    .long 4
    .long 4
    .long 18
    .asciz "Xen"
    .long pvh_entry - VIRTUAL_BASE
