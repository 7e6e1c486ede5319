package watchfire

import "unsafe"

// held is what the host has written or has yet to read: Go's collector must not take it before the call's end.
var held []any

//go:wasmexport cabi_realloc
func reallocate(old, oldLen, align, length uint32) uint32 {
	room := take(int(length))
	copy(room, unsafe.Slice((*byte)(unsafe.Pointer(uintptr(old))), oldLen))
	return address(room)
}

// take is zeroed memory that lies on eight bytes and stays until release.
func take(bytes int) []byte {
	room := make([]uint64, bytes/8+1)
	held = append(held, room)
	return unsafe.Slice((*byte)(unsafe.Pointer(&room[0])), bytes)
}

func address(room []byte) uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(room)))) }

// Release gives back what a call held: its answer has been read. For watchfire's own packages.
func Release() { held = nil }

// column is a list as the host wrote it: where it lies, not a copy.
func column[T any](at, count uint32) []T {
	if count == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(uintptr(at))), count)
}

func text(at, bytes uint32) string {
	return unsafe.String(unsafe.SliceData(column[byte](at, bytes)), bytes)
}
