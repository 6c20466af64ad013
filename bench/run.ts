/** `npm run bench` compares clients; `npm run bench -- growth` doubles inputs. */
await import(process.argv.includes("growth") ? "./growth.ts" : "./main.ts")
