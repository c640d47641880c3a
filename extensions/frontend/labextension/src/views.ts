// How a saved view is shown: as the widget while its kernel still has it, else as the line that says what it was. Without this a
// notebook that is opened again shows an error of the widget manager in its place.
import type { LabWidget, MimeModel, Modules, NotebookPanel, NotebookTracker, Renderer, Rendermime } from "./jupyter";

const VIEW = "application/vnd.cohortlab.view+json";
const WIDGET = "application/vnd.jupyter.widget-view+json";
const RANK = -20; // before the widget manager's own, -10

interface Saved {
  model_id: string;
  text: string;
}

/** The widget manager's renderer, as far as it lets itself be asked. */
interface WidgetRenderer extends Renderer {
  _manager?: { promise: Promise<Manager> } | null;
}

interface Manager {
  has_model?(id: string): boolean;
  restoredStatus?: boolean;
  restored?: { connect(slot: () => void): boolean };
}

/** Whether the kernel still has the widget; waits until the manager has asked it. */
async function lives(renderer: WidgetRenderer, id: string): Promise<boolean> {
  const manager = await renderer._manager?.promise;
  if (manager?.has_model === undefined) return true; // another version of the manager: it says itself what is wrong
  if (manager.has_model(id) || manager.restoredStatus !== false) return manager.has_model(id);
  await new Promise<void>((resolve) => manager.restored?.connect(resolve));
  return manager.has_model(id);
}

function viewRenderer({ widgets }: Modules, rendermime: Rendermime): Renderer {
  const panel = new widgets.Panel();
  const say = (text: string): void => {
    const line = document.createElement("pre");
    line.textContent = text;
    panel.node.replaceChildren(line);
  };
  return Object.assign(panel, {
    async renderModel(model: MimeModel): Promise<void> {
      const { model_id: id, text } = model.data[VIEW] as Saved;
      if (!model.trusted || !rendermime.mimeTypes.includes(WIDGET)) {
        say(text);
        return;
      }
      say(text); // until it is known
      const inner = rendermime.createRenderer(WIDGET) as WidgetRenderer;
      if (await lives(inner, id)) {
        panel.node.replaceChildren();
        panel.addWidget(inner as unknown as LabWidget);
        await inner.renderModel(model);
      } else inner.dispose();
    },
  });
}

/** Show our views so in every notebook. */
export function addViews(modules: Modules, tracker: NotebookTracker): void {
  const add = ({ content: { rendermime } }: NotebookPanel): void => {
    rendermime.addFactory({ safe: true, mimeTypes: [VIEW], createRenderer: () => viewRenderer(modules, rendermime) }, RANK);
  };
  tracker.forEach(add);
  tracker.widgetAdded.connect((_, panel) => {
    add(panel);
  });
}
