package kernels

import "syscall"

// requestTiles asks Linux to let this process use tiles, which are larger than a
// signal frame used to have room for.
func requestTiles() bool {
	const requestPermission, tileData = 0x1023, 18 // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
	_, _, errno := syscall.RawSyscall(syscall.SYS_ARCH_PRCTL, requestPermission, tileData, 0)
	return errno == 0
}
