package bench

// publishedNetworks are the networks that are measured together, at the batch
// sizes that comparisons quote.
var publishedNetworks = []struct {
	name  string
	batch int
}{
	{"resnet18", 128}, {"resnet50", 64}, {"vgg16", 64}, {"wide_resnet", 32}, {"lenet", 128},
}

// Networks returns the networks that are measured together.
func Networks() []string {
	names := make([]string, len(publishedNetworks))
	for i, n := range publishedNetworks {
		names[i] = n.name
	}
	return names
}

// NetworkBatch returns the batch size that a network is measured at where none
// is asked for.
func NetworkBatch(name string) int {
	for _, n := range publishedNetworks {
		if n.name == name {
			return n.batch
		}
	}
	return 64
}
