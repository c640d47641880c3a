// The viewer's widget.
export default { render({ el }: { el: HTMLElement }): void { el.textContent = "viewer"; } };
