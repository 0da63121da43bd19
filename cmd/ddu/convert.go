package main

import (
	"fmt"

	"github.com/deepuncertainty/ddu/experiments"
)

type convertCommand struct {
	From   string  `arg:"" help:"Weights to read: a file of torch.save (.model, .pt, .pth) or safetensors, told by its content, or the run folder of one trained network."`
	To     string  `arg:"" help:"File to write: .model, .pt and .pth for torch.load, .safetensors for safetensors."`
	Format string  `name:"to" enum:"torch,safetensors," default:"" placeholder:"FORMAT" help:"Format of the new file where its extension does not say it: torch or safetensors."`
	Prefix *string `placeholder:"PREFIX" help:"Begin every name with this. module. makes names as PyTorch's DataParallel has them, an empty one takes module. away (default: names stay)."`
	Force  bool    `help:"Replace the file if it is there."`
}

func (c *convertCommand) Run(term terminal) error {
	done, err := experiments.Convert(c.From, c.To, experiments.ConvertOptions{Format: experiments.WeightsFormat(c.Format), Prefix: c.Prefix, Force: c.Force})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(term.out, "%s: %d tensors, %d numbers, %s\n", done.Path, done.Tensors, done.Numbers, done.Format)
	return err
}
