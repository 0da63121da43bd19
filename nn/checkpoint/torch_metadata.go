package checkpoint

import "strings"

// moduleVersion is what _metadata says of one module.
type moduleVersion struct {
	path    string
	version int
	// norm is how PyTorch's hooks call the normalisation of a weight,
	// "spectral_norm_conv" for that of a convolution operator, and weight the
	// name of the weight; "" for modules without.
	norm, weight string
}

// moduleVersions tells the modules that a state dict is of, in the order of
// their first names: {version: 1}, batch norm 2, and for a spectrally normalised
// weight the version without which load_state_dict takes the dict for that of
// an older release and looks for what is not there.
func moduleVersions(entries []Entry) []moduleVersion {
	shapes := map[string][]int{}
	for _, e := range entries {
		shapes[e.Name] = e.Shape
	}
	var modules []moduleVersion
	at := map[string]int{}
	for _, e := range entries {
		path, parameter := "", e.Name
		if dot := strings.LastIndexByte(e.Name, '.'); dot >= 0 {
			path, parameter = e.Name[:dot], e.Name[dot+1:]
		}
		for _, p := range pathsTo(path) {
			if _, known := at[p]; !known {
				at[p] = len(modules)
				modules = append(modules, moduleVersion{path: p, version: 1})
			}
		}
		m := &modules[at[path]]
		if parameter == "num_batches_tracked" {
			m.version = 2
		}
		if weight, ok := strings.CutSuffix(parameter, "_orig"); ok {
			sibling := strings.TrimSuffix(e.Name, "_orig")
			if norm := normOf(e.Shape, shapes[sibling+"_u"], shapes[sibling+"_v"]); norm != "" {
				m.norm, m.weight = norm, weight
			}
		}
	}
	return modules
}

// pathsTo returns the modules on the way to a module: "", "a", "a.b" for "a.b".
func pathsTo(path string) []string {
	if path == "" {
		return []string{""}
	}
	all := []string{""}
	for i := range path {
		if path[i] == '.' {
			all = append(all, path[:i])
		}
	}
	return append(all, path)
}

// normOf returns the name of a spectral normalisation by the vectors it iterates:
// as long as the rows and columns of the weight as a matrix, or as the maps that
// a convolution goes between; "" without vectors.
func normOf(weight, u, v []int) string {
	if len(weight) < 2 || len(u) != 1 {
		return ""
	}
	columns := 1
	for _, n := range weight[1:] {
		columns *= n
	}
	if u[0] == weight[0] && (len(v) != 1 || v[0] == columns) {
		return "spectral_norm"
	}
	return "spectral_norm_conv"
}
