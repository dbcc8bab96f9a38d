/* Room for the symbol table, which `hv_symbols::embed` fills in after linking. It is zero until
 * then, which the reader takes for "no symbols". */

.section .symbols, "a"
    .skip   64 * 1024
