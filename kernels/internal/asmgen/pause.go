package main

// pauseFiles writes the instruction that tells the processor of a loop that waits: it
// leaves its resources to another thread of the core.
func pauseFiles() []file {
	write := func(arch, load, pause, count string) file {
		a := newAssembly()
		a.text("pause", "times int")
		a.op("%s", load)
		a.label("loop")
		a.op("%s", pause)
		a.op("%s", count)
		a.op("%s loop", map[string]string{"amd64": "JGT", "arm64": "BGT"}[arch])
		a.op("RET")
		return file{"pause_" + arch + ".s", a.Bytes()}
	}
	return []file{
		write("amd64", "MOVQ times+0(FP), AX", "PAUSE", "SUBQ $1, AX"),
		write("arm64", "MOVD times+0(FP), R0", "YIELD", "SUBS $1, R0"),
	}
}
